-- name: StaffList :many
-- Whoever has a part in a shop, also while it is suspended.
SELECT members.person_id, persons.name, members.role, members.status, (members.pin <> '')::bool AS has_pin, members.pin_locked_until, members.refund_limit, members.created_at,
    COALESCE((SELECT max(sessions.seen_at) FROM sessions
        WHERE sessions.person_id = members.person_id AND sessions.merchant_id = members.merchant_id), 'epoch')::timestamptz AS seen_at
FROM members
JOIN persons ON persons.id = members.person_id
WHERE members.merchant_id = @merchant_id AND members.status <> 'removed'
ORDER BY members.created_at, members.person_id;

-- name: StaffMember :one
SELECT members.*, persons.name
FROM members
JOIN persons ON persons.id = members.person_id
WHERE members.merchant_id = @merchant_id AND members.person_id = @person_id AND members.status <> 'removed';

-- name: StaffWelcome :execrows
-- Somebody who was removed may come back; who is there already stays what he is.
INSERT INTO members (merchant_id, person_id, role, invited_by, pin, created_at)
VALUES (@merchant_id, @person_id, @role, @invited_by, @pin, @now::timestamptz)
ON CONFLICT (merchant_id, person_id) DO UPDATE SET role = excluded.role, status = 'active', invited_by = excluded.invited_by, pin = excluded.pin,
    pin_failures = 0, pin_locked_until = NULL, refund_limit = NULL, created_at = excluded.created_at, updated_at = excluded.created_at
WHERE members.status = 'removed';

-- name: StaffSet :exec
UPDATE members SET role = @role, status = @status, updated_at = @now::timestamptz WHERE merchant_id = @merchant_id AND person_id = @person_id;

-- name: StaffSetRefundLimit :exec
UPDATE members SET refund_limit = sqlc.narg(refund_limit)::bigint, updated_at = @now::timestamptz WHERE merchant_id = @merchant_id AND person_id = @person_id;

-- name: StaffOwners :one
-- How many people own a shop who can still sign in to it.
SELECT count(*) FROM members WHERE merchant_id = @merchant_id AND role = 'owner' AND status = 'active';

-- name: StaffSetPIN :exec
UPDATE members SET pin = @pin, pin_failures = 0, pin_locked_until = NULL, updated_at = @now::timestamptz
WHERE merchant_id = @merchant_id AND person_id = @person_id;

-- name: StaffForUnlock :one
SELECT members.role, members.pin, members.pin_failures, members.pin_locked_until, persons.name, (merchants.went_live_at IS NOT NULL)::bool AS went_live
FROM members
JOIN persons ON persons.id = members.person_id
JOIN merchants ON merchants.id = members.merchant_id
WHERE members.merchant_id = @merchant_id AND members.person_id = @person_id AND members.status = 'active' AND members.pin <> ''
FOR UPDATE OF members;

-- name: StaffPINTried :exec
UPDATE members SET pin_failures = @pin_failures, pin_locked_until = @pin_locked_until
WHERE merchant_id = @merchant_id AND person_id = @person_id;

-- name: InviteInsert :exec
INSERT INTO invites (id, merchant_id, role, name, hash, created_by, created_at, expires_at)
VALUES (@id, @merchant_id, @role, @name, @hash, @created_by, @created_at, @expires_at);

-- name: InviteByHash :one
SELECT invites.*, merchants.name AS shop, persons.name AS inviter
FROM invites
JOIN merchants ON merchants.id = invites.merchant_id
JOIN persons ON persons.id = invites.created_by
WHERE invites.hash = @hash;

-- name: InviteUse :execrows
-- The one who finds it unused is the one who has it.
UPDATE invites SET used_at = @now::timestamptz, used_by = @person_id
WHERE id = @id AND used_at IS NULL AND revoked_at IS NULL AND expires_at > @now::timestamptz;

-- name: InviteList :many
-- Those that can still be accepted, the newest first.
SELECT invites.*, persons.name AS inviter
FROM invites
JOIN persons ON persons.id = invites.created_by
WHERE invites.merchant_id = @merchant_id AND invites.used_at IS NULL AND invites.revoked_at IS NULL AND invites.expires_at > @now::timestamptz
ORDER BY invites.id DESC;

-- name: InviteForUpdate :one
SELECT * FROM invites WHERE id = @id AND merchant_id = @merchant_id FOR UPDATE;

-- name: InviteRevoke :exec
UPDATE invites SET revoked_at = @now::timestamptz WHERE id = @id AND used_at IS NULL AND revoked_at IS NULL;

-- name: InviteRevokeOf :exec
-- What somebody asked others into ends with his right to ask them; kept are the roles that he may still give.
UPDATE invites SET revoked_at = @now::timestamptz
WHERE merchant_id = @merchant_id AND created_by = @person_id AND used_at IS NULL AND revoked_at IS NULL AND NOT role = ANY(@kept::text[]);

-- name: PairingInsert :execrows
WITH forgotten AS (
    DELETE FROM pairings WHERE code_hash IN (SELECT p.code_hash FROM pairings p WHERE p.expires_at <= @created_at LIMIT 100 FOR UPDATE SKIP LOCKED)
)
INSERT INTO pairings (code_hash, merchant_id, name, created_by, created_at, expires_at)
VALUES (@code_hash, @merchant_id, @name, @created_by, @created_at, @expires_at)
ON CONFLICT (code_hash) DO NOTHING;

-- name: PairingTake :one
DELETE FROM pairings WHERE code_hash = @code_hash AND expires_at > @now::timestamptz AND wrong_guesses < @most::int
RETURNING *;

-- name: PairingMissed :exec
-- A wrong code may have been meant for any that can be typed now.
UPDATE pairings SET wrong_guesses = wrong_guesses + 1 WHERE expires_at > @now::timestamptz;

-- name: PairingForgetOf :exec
DELETE FROM pairings WHERE merchant_id = @merchant_id AND created_by = @person_id;

-- name: DeviceInsert :exec
INSERT INTO devices (id, merchant_id, name, hash, paired_by, created_at, seen_at)
VALUES (@id, @merchant_id, @name, @hash, @paired_by, @created_at, @created_at);

-- name: DeviceByHash :one
SELECT devices.*, merchants.name AS shop
FROM devices JOIN merchants ON merchants.id = devices.merchant_id
WHERE devices.hash = @hash AND devices.revoked_at IS NULL;

-- name: DeviceSeen :exec
UPDATE devices SET seen_at = @now::timestamptz WHERE id = @id;

-- name: DeviceList :many
SELECT devices.*, persons.name AS pairer
FROM devices JOIN persons ON persons.id = devices.paired_by
WHERE devices.merchant_id = @merchant_id AND devices.revoked_at IS NULL
ORDER BY devices.id DESC;

-- name: DeviceLocksEach :one
UPDATE devices SET locks_each = @locks_each WHERE id = @id AND merchant_id = @merchant_id AND revoked_at IS NULL RETURNING name;

-- name: DeviceRevoke :one
UPDATE devices SET revoked_at = @now::timestamptz WHERE id = @id AND merchant_id = @merchant_id AND revoked_at IS NULL
RETURNING *;

-- name: TillStaff :many
-- Whose tiles a locked till shows.
SELECT members.person_id, persons.name, members.role
FROM members
JOIN persons ON persons.id = members.person_id
WHERE members.merchant_id = @merchant_id AND members.status = 'active' AND members.pin <> ''
ORDER BY persons.name, members.person_id;

-- name: TillSession :one
-- Who unlocked a till, unless it was left alone since: what is used goes on, what is not locks itself.
UPDATE sessions SET seen_at = CASE WHEN @touch::bool THEN @now::timestamptz ELSE sessions.seen_at END
FROM members, persons, devices, merchants
WHERE sessions.hash = @hash AND sessions.device_id = @device::text AND sessions.expires_at > @now::timestamptz AND sessions.seen_at > @idle_since::timestamptz
    AND persons.id = sessions.person_id AND merchants.id = sessions.merchant_id
    AND members.merchant_id = sessions.merchant_id AND members.person_id = sessions.person_id AND members.status = 'active'
    AND devices.id = sessions.device_id AND devices.revoked_at IS NULL
RETURNING sessions.id, sessions.person_id, sessions.livemode, sessions.created_at, persons.name, members.role, sessions.merchant_id, merchants.name AS shop;

-- name: TillLock :exec
DELETE FROM sessions WHERE hash = @hash AND device_id = @device::text;

-- name: TillLockAll :exec
DELETE FROM sessions WHERE device_id = @device::text;

-- name: TillLockOf :exec
DELETE FROM sessions WHERE person_id = @person_id AND merchant_id = @merchant_id::text AND device_id IS NOT NULL;

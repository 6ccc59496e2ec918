-- name: SessionInsert :exec
INSERT INTO sessions (id, hash, person_id, merchant_id, livemode, created_at, seen_at, expires_at, stepped_up_at, method, device_id, user_agent, address)
VALUES (@id, @hash, @person_id, @merchant_id, @livemode, @created_at, @created_at, @expires_at, @stepped_up_at, @method, @device_id, @user_agent, @address);

-- name: SessionByHash :one
-- A session for a shop lasts only as long as the person's part in it, a till's as long as its pairing.
SELECT sessions.id, sessions.person_id, sessions.merchant_id, sessions.livemode, sessions.created_at, sessions.seen_at, sessions.stepped_up_at,
    sessions.method, sessions.device_id, persons.name AS person_name,
    COALESCE(merchants.name, '')::text AS shop, (merchants.went_live_at IS NOT NULL)::bool AS went_live, COALESCE(members.role, '')::text AS role
FROM sessions
JOIN persons ON persons.id = sessions.person_id
LEFT JOIN merchants ON merchants.id = sessions.merchant_id
LEFT JOIN members ON members.merchant_id = sessions.merchant_id AND members.person_id = sessions.person_id AND members.status = 'active'
LEFT JOIN devices ON devices.id = sessions.device_id
WHERE sessions.hash = @hash AND sessions.expires_at > @now::timestamptz AND sessions.seen_at > @idle_since::timestamptz
    AND (sessions.merchant_id IS NULL OR members.role IS NOT NULL)
    AND (sessions.device_id IS NULL OR devices.revoked_at IS NULL);

-- name: SessionSeen :exec
UPDATE sessions SET seen_at = @now::timestamptz
WHERE id = @id AND seen_at < @now::timestamptz;

-- name: SessionRotate :execrows
-- From here on only the fresh secret stands for the session.
UPDATE sessions SET hash = @fresh, stepped_up_at = @now::timestamptz
WHERE hash = @hash AND id = @id;

-- name: SessionEnter :execrows
-- Another shop is entered in test mode.
UPDATE sessions SET hash = @fresh, merchant_id = @merchant_id, livemode = false
WHERE hash = @hash AND id = @id AND device_id IS NULL
    AND EXISTS (SELECT FROM members WHERE members.merchant_id = @merchant_id AND members.person_id = sessions.person_id AND members.status = 'active');

-- name: SessionMode :exec
UPDATE sessions SET livemode = @livemode WHERE id = @id;

-- name: SessionDelete :one
WITH gone AS (DELETE FROM sessions WHERE hash = @hash RETURNING id, person_id, merchant_id)
SELECT gone.id, gone.person_id, coalesce(gone.merchant_id, '')::text AS shop, persons.name FROM gone JOIN persons ON persons.id = gone.person_id;

-- name: SessionList :many
SELECT sessions.*, COALESCE(merchants.name, '')::text AS shop
FROM sessions
LEFT JOIN merchants ON merchants.id = sessions.merchant_id
WHERE sessions.person_id = @person_id AND sessions.expires_at > @now::timestamptz AND sessions.seen_at > @idle_since::timestamptz
ORDER BY sessions.seen_at DESC, sessions.id DESC;

-- name: SessionEnd :execrows
DELETE FROM sessions WHERE id = @id AND person_id = @person_id;

-- name: SessionEndOthers :exec
DELETE FROM sessions WHERE person_id = @person_id AND id <> @id;

-- name: SessionEndMember :exec
DELETE FROM sessions WHERE person_id = @person_id AND merchant_id = @merchant_id;

-- name: SessionForget :exec
DELETE FROM sessions WHERE expires_at <= @now::timestamptz;

-- name: MembershipsOfPerson :many
SELECT sqlc.embed(merchants), sqlc.embed(persons), members.role
FROM members
JOIN merchants ON merchants.id = members.merchant_id
JOIN persons ON persons.id = members.person_id
WHERE members.person_id = @person_id AND members.status = 'active'
ORDER BY members.created_at, merchants.id;

-- name: ChallengeInsert :exec
WITH forgotten AS (
    DELETE FROM challenges WHERE hash IN (SELECT c.hash FROM challenges c WHERE c.expires_at <= @created_at LIMIT 100 FOR UPDATE SKIP LOCKED)
)
INSERT INTO challenges (hash, purpose, person_id, data, created_at, expires_at)
VALUES (@hash, @purpose, @person_id, @data, @created_at, @expires_at);

-- name: ChallengeTake :one
-- Whoever reads it is the only one who ever will.
DELETE FROM challenges WHERE hash = @hash AND purpose = @purpose
RETURNING person_id, data, (expires_at > @now::timestamptz)::bool AS lives;

-- name: PersonByID :one
SELECT * FROM persons WHERE id = @id;

-- name: PersonLock :one
SELECT id FROM persons WHERE id = @id FOR UPDATE;

-- name: PersonRename :exec
UPDATE persons SET name = @name WHERE id = @id;

-- name: PersonsAny :one
SELECT EXISTS (SELECT FROM persons)::bool;

-- name: FirstRunLock :exec
-- Two who come first at the same moment come one after the other.
SELECT pg_advisory_xact_lock(hashtext('first-run'));

-- name: InviteLives :one
SELECT EXISTS (
    SELECT FROM invites WHERE hash = @hash AND used_at IS NULL AND revoked_at IS NULL AND expires_at > @now::timestamptz AND admitted < @most::int
)::bool;

-- name: InviteAdmit :execrows
-- Each newcomer counts, so that one link does not let a crowd in.
UPDATE invites SET admitted = admitted + 1
WHERE hash = @hash AND used_at IS NULL AND revoked_at IS NULL AND expires_at > @now::timestamptz AND admitted < @most::int;

-- name: WalletInsert :execrows
INSERT INTO wallets (address, chain_id, person_id, created_at) VALUES (@address, @chain_id, @person_id, @created_at)
ON CONFLICT (address) DO NOTHING;

-- name: WalletPerson :one
SELECT person_id, chain_id FROM wallets WHERE address = @address;

-- name: WalletList :many
SELECT * FROM wallets WHERE person_id = @person_id ORDER BY created_at, address;

-- name: WalletDelete :execrows
DELETE FROM wallets WHERE address = @address AND person_id = @person_id;

-- name: PrivyPerson :one
SELECT person_id FROM privy_users WHERE did = @did;

-- name: PrivyInsert :execrows
INSERT INTO privy_users (did, person_id, created_at) VALUES (@did, @person_id, @created_at) ON CONFLICT (did) DO NOTHING;

-- name: PasskeyInsert :execrows
INSERT INTO passkeys (id, person_id, name, credential, created_at) VALUES (@id, @person_id, @name, @credential, @created_at)
ON CONFLICT (id) DO NOTHING;

-- name: PasskeyForUpdate :one
SELECT * FROM passkeys WHERE id = @id FOR UPDATE;

-- name: PasskeyUsed :exec
UPDATE passkeys SET credential = @credential, used_at = @used_at WHERE id = @id;

-- name: PasskeyList :many
SELECT * FROM passkeys WHERE person_id = @person_id ORDER BY created_at, id;

-- name: PasskeyRename :execrows
UPDATE passkeys SET name = @name WHERE id = @id AND person_id = @person_id;

-- name: PasskeyDelete :execrows
DELETE FROM passkeys WHERE id = @id AND person_id = @person_id;

-- name: WaysIn :one
-- How often somebody could still come in by something that he holds. Recovery codes are for the day when that is lost.
SELECT (SELECT count(*) FROM passkeys WHERE passkeys.person_id = @person_id) + (SELECT count(*) FROM wallets WHERE wallets.person_id = @person_id)
    + (SELECT count(*) FROM privy_users WHERE privy_users.person_id = @person_id) AS ways;

-- name: RecoveryForget :exec
DELETE FROM recovery_codes WHERE person_id = @person_id;

-- name: RecoveryInsert :exec
INSERT INTO recovery_codes (hash, person_id, created_at) SELECT unnest(@hashes::bytea[]), @person_id, @created_at;

-- name: RecoveryUse :one
UPDATE recovery_codes SET used_at = @now::timestamptz WHERE hash = @hash AND used_at IS NULL RETURNING person_id;

-- name: RecoveryLeft :one
SELECT count(*) FROM recovery_codes WHERE person_id = @person_id AND used_at IS NULL;

-- name: SlugTaken :one
SELECT EXISTS (SELECT FROM merchants WHERE slug = @slug)::bool;

-- +goose Up
-- How people prove who they are, where they are signed in, and what they may do for which shop.

ALTER TABLE merchants ADD COLUMN went_live_at timestamptz;

-- A wallet signs in one person (EIP-4361).
CREATE TABLE wallets (
    address    text PRIMARY KEY CHECK (address ~ '^0x[0-9a-f]{40}$'),
    person_id  text NOT NULL REFERENCES persons,
    created_at timestamptz NOT NULL,
    -- A contract's address may be another's contract on another network: its word counts where it was added. 0 for a
    -- key's account, which is the same everywhere.
    chain_id   bigint NOT NULL DEFAULT 0
);
CREATE INDEX wallets_of_person ON wallets (person_id);

-- A user of another sign-in service: the subject of its access tokens.
CREATE TABLE privy_users (
    did        text PRIMARY KEY,
    person_id  text NOT NULL REFERENCES persons,
    created_at timestamptz NOT NULL
);

CREATE TABLE passkeys (
    id         bytea PRIMARY KEY,
    person_id  text NOT NULL REFERENCES persons,
    name       text NOT NULL,
    credential jsonb NOT NULL, -- the public key, and the counter that shows a copied authenticator
    created_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX passkeys_of_person ON passkeys (person_id);

CREATE TABLE recovery_codes (
    hash       bytea PRIMARY KEY,
    person_id  text NOT NULL REFERENCES persons,
    created_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX recovery_codes_of_person ON recovery_codes (person_id);

-- What was asked and may be answered once: the row is deleted by the statement that reads it.
CREATE TABLE challenges (
    hash       bytea PRIMARY KEY,
    purpose    text NOT NULL CHECK (purpose IN ('siwe', 'wallet', 'passkey_create', 'passkey_sign_in', 'step_up', 'payee')),
    person_id  text REFERENCES persons,
    data       jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX challenges_age ON challenges (expires_at);

-- A tablet on the counter. It acts for the shop only with a cashier who unlocked it.
CREATE TABLE devices (
    id          text PRIMARY KEY COLLATE "C",
    merchant_id text NOT NULL REFERENCES merchants,
    name        text NOT NULL CHECK (name <> ''),
    hash        bytea NOT NULL UNIQUE,
    paired_by   text NOT NULL REFERENCES persons,
    created_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    revoked_at  timestamptz
);
CREATE INDEX devices_of_merchant ON devices (merchant_id, id DESC);

-- A pairing code is short: it lives five minutes and bears few wrong guesses.
CREATE TABLE pairings (
    code_hash   bytea PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants,
    name        text NOT NULL,
    created_by  text NOT NULL REFERENCES persons,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    wrong_guesses int NOT NULL DEFAULT 0 -- while it could be typed, by anybody
);
CREATE INDEX pairings_age ON pairings (expires_at);

-- A person who belongs to no shop yet has a session too; a till's session belongs to its device.
DELETE FROM sessions; -- everybody signs in again
ALTER TABLE sessions
    ADD COLUMN id            text NOT NULL UNIQUE COLLATE "C",
    ALTER COLUMN merchant_id DROP NOT NULL,
    ADD COLUMN livemode      boolean NOT NULL DEFAULT false, -- what the dashboard shows
    ADD COLUMN seen_at       timestamptz NOT NULL,
    ADD COLUMN stepped_up_at timestamptz,                    -- when the person proved again who he is
    ADD COLUMN method        text NOT NULL DEFAULT '',       -- how he signed in
    ADD COLUMN device_id     text REFERENCES devices,
    ADD COLUMN user_agent    text NOT NULL DEFAULT '',
    ADD COLUMN address       text NOT NULL DEFAULT '';
CREATE INDEX sessions_of_person ON sessions (person_id, id DESC);
CREATE INDEX sessions_of_device ON sessions (device_id) WHERE device_id IS NOT NULL;
CREATE INDEX sessions_age ON sessions (expires_at);

ALTER TABLE members
    ADD COLUMN status           text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'removed')),
    ADD COLUMN invited_by       text REFERENCES persons,
    -- A cashier's: argon2id with its parameters. He has no other way in.
    ADD COLUMN pin              text NOT NULL DEFAULT '',
    ADD COLUMN pin_failures     int NOT NULL DEFAULT 0,
    ADD COLUMN pin_locked_until timestamptz,
    -- What he may do without asking: refunds a day in base units, discount in percent.
    ADD COLUMN refund_limit     bigint,
    ADD COLUMN discount_limit   int CHECK (discount_limit BETWEEN 0 AND 100),
    ADD COLUMN updated_at       timestamptz;
CREATE INDEX members_of_person ON members (person_id) WHERE status = 'active';

CREATE TABLE invites (
    id          text PRIMARY KEY COLLATE "C",
    merchant_id text NOT NULL REFERENCES merchants,
    role        text NOT NULL CHECK (role IN ('owner', 'manager', 'cashier', 'accountant', 'developer', 'viewer')),
    name        text NOT NULL DEFAULT '',
    hash        bytea NOT NULL UNIQUE,
    created_by  text NOT NULL REFERENCES persons,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    used_by     text REFERENCES persons,
    revoked_at  timestamptz,
    admitted    int NOT NULL DEFAULT 0, -- how many became a person by its link; not many may
    CHECK (used_at IS NULL OR revoked_at IS NULL)
);
CREATE INDEX invites_of_merchant ON invites (merchant_id, id DESC);

ALTER TABLE api_keys
    ADD COLUMN hint       text NOT NULL DEFAULT '', -- the last characters, by which its owner knows it
    ADD COLUMN created_by text REFERENCES persons,
    ADD COLUMN used_at    timestamptz;
CREATE INDEX api_keys_of_merchant ON api_keys (merchant_id, livemode, id DESC);

-- What is at a receiving address, as far as its network was asked.
ALTER TABLE payees ADD COLUMN kind text NOT NULL DEFAULT '' CHECK (kind IN ('', 'wallet', 'contract'));

-- Another receiving address waits a day, so that a thief's can be stopped; it is quoted from effective_at on.
CREATE TABLE payee_changes (
    id           text PRIMARY KEY COLLATE "C",
    merchant_id  text NOT NULL REFERENCES merchants,
    network      text NOT NULL,
    address      text NOT NULL CHECK (address ~ '^0x[0-9a-f]{40}$'),
    kind         text NOT NULL DEFAULT '' CHECK (kind IN ('', 'wallet', 'contract')),
    proven_at    timestamptz,
    created_by   text REFERENCES persons,
    created_at   timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    applied_at   timestamptz,
    cancelled_at timestamptz
);
CREATE UNIQUE INDEX payee_changes_waiting ON payee_changes (merchant_id, network) WHERE applied_at IS NULL AND cancelled_at IS NULL;

-- Who did what: rows are added, and never changed.
CREATE TABLE audit_rows (
    id            text PRIMARY KEY COLLATE "C",
    merchant_id   text,
    person_id     text,
    actor         text NOT NULL, -- as people read it: a name, "API key …4f2a", "operator"
    action        text NOT NULL, -- noun.verb
    resource_type text NOT NULL DEFAULT '',
    resource_id   text NOT NULL DEFAULT '',
    address       text NOT NULL DEFAULT '',
    user_agent    text NOT NULL DEFAULT '',
    before        jsonb,
    after         jsonb,
    created_at    timestamptz NOT NULL
);
CREATE INDEX audit_rows_newest ON audit_rows (merchant_id, id DESC);
CREATE INDEX audit_rows_of_person ON audit_rows (merchant_id, person_id, id DESC);
CREATE INDEX audit_rows_of_action ON audit_rows (merchant_id, action, id DESC);
CREATE INDEX audit_rows_of_resource ON audit_rows (merchant_id, resource_id, id DESC);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_rows FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- What buyers' tokens are derived from. The keys are sealed with the master key, so that another master key can take over
-- what was sold under a former one; the newest is that of new purchases.
CREATE TABLE buyer_keys (
    id         text PRIMARY KEY COLLATE "C",
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL
);

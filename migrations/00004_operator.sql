-- +goose Up
-- What whoever runs the gateway sees and needs.

-- Operators who are signed in. The hash is keyed with the operator's token: with another token nobody is signed in.
CREATE TABLE operator_sessions (
    hash       bytea PRIMARY KEY,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

-- Processes that run. Each writes its row every few seconds and takes it away when it stops; one that died leaves it.
CREATE TABLE processes (
    id         text PRIMARY KEY,
    role       text NOT NULL,
    host       text NOT NULL,
    version    text NOT NULL,
    queues     text[] NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL
);

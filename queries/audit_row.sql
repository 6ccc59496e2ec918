-- name: AuditRowInsert :exec
INSERT INTO audit_rows (id, merchant_id, person_id, actor, action, resource_type, resource_id, address, user_agent, before, after, created_at)
VALUES (@id, @merchant_id, @person_id, @actor, @action, @resource_type, @resource_id, @address, @user_agent, @before, @after, @created_at);

-- name: AuditRowList :many
-- Newest first.
SELECT * FROM audit_rows
WHERE merchant_id = @merchant_id::text AND id >= @since::text AND id < @until::text AND id < @before_id::text
    AND (@person::text = '' OR person_id = @person) AND (@action::text = '' OR action = @action)
    AND (@resource::text = '' OR resource_id = @resource)
ORDER BY id DESC
LIMIT @most;

-- name: AuditRowListAfter :many
-- See AuditRowList; oldest first.
SELECT * FROM audit_rows
WHERE merchant_id = @merchant_id::text AND id >= @since::text AND id < @until::text AND id > @after_id::text
    AND (@person::text = '' OR person_id = @person) AND (@action::text = '' OR action = @action)
    AND (@resource::text = '' OR resource_id = @resource)
ORDER BY id
LIMIT @most;

-- name: AuditRowActions :many
-- What was done in a shop at all, for a filter to choose from: one step along the index for each, however many rows there are.
WITH RECURSIVE step AS (
    (SELECT a.action FROM audit_rows a WHERE a.merchant_id = @merchant_id::text ORDER BY a.action LIMIT 1)
    UNION ALL
    SELECT (SELECT a.action FROM audit_rows a WHERE a.merchant_id = @merchant_id::text AND a.action > step.action ORDER BY a.action LIMIT 1)
    FROM step WHERE step.action IS NOT NULL
)
SELECT step.action::text AS action FROM step WHERE step.action IS NOT NULL;

-- name: UploadInsert :exec
INSERT INTO uploads (id, merchant_id, purpose, name, content_type, size, sha256, width, height, complete, created_at)
VALUES (@id, @merchant_id, @purpose, @name, @content_type, @size, @sha256, @width, @height, @complete, @created_at);

-- name: UploadPieceInsert :exec
INSERT INTO upload_pieces (upload_id, piece, content) VALUES (@upload_id, @piece, @content);

-- name: UploadComplete :one
UPDATE uploads SET size = @size, sha256 = @sha256, complete = true WHERE id = @id RETURNING *;

-- name: UploadSame :one
SELECT * FROM uploads WHERE merchant_id = @merchant_id AND purpose = @purpose AND sha256 = @sha256 AND name = @name AND complete;

-- name: UploadByID :one
SELECT * FROM uploads WHERE id = @id AND complete;

-- name: UploadPiece :one
SELECT content FROM upload_pieces WHERE upload_id = @upload_id AND piece = @piece;

-- name: UploadDelete :exec
DELETE FROM uploads WHERE id = @id AND NOT complete;

-- name: UploadsPurge :execrows
-- Those that broke off.
DELETE FROM uploads WHERE NOT complete AND created_at < @before::timestamptz;

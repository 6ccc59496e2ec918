package shop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
)

// Purpose is what an upload is for.
type Purpose string

// The purposes.
const (
	ImageUpload Purpose = "image" // everybody may see it
	FileUpload  Purpose = "file"  // only who bought it may fetch it
)

// ErrTooLarge is returned for uploads beyond [MaxImage] or [MaxFile].
var ErrTooLarge = errors.New("shop: upload too large")

// The largest uploads, in bytes as they are sent.
const (
	MaxImage = 10 << 20
	MaxFile  = 200 << 20
)

// Upload is a picture or a file that a seller sent.
type Upload struct {
	ID          id.Upload
	Merchant    id.Merchant
	Purpose     Purpose
	Name        string // as it was sent, without folders
	ContentType string
	Size        int64 // of what is kept
	Width       int   // of a picture
	Height      int
	SHA256      [32]byte // of what was sent
	CreatedAt   time.Time
}

// pieceSize is how much of a file one row holds.
const pieceSize = 256 << 10

// small is the piece that holds a picture's small form.
const small = -1

// UploadImage keeps what a picture shows: it is read, made smaller, and written anew, so that nothing else that its file
// held is handed on. Sent again, it is the same upload. Errors: [*FieldError] for what is no picture, [ErrTooLarge].
func (s *Service) UploadImage(ctx context.Context, merchant id.Merchant, name string, r io.Reader, by audit.By) (Upload, error) {
	sent, err := io.ReadAll(io.LimitReader(r, MaxImage+1))
	if err != nil {
		return Upload{}, fmt.Errorf("read the picture: %w", err)
	}
	if len(sent) > MaxImage {
		return Upload{}, ErrTooLarge
	}
	row := queries.UploadInsertParams{
		MerchantID: merchant, Purpose: string(ImageUpload), Name: fileName(name), Complete: true, CreatedAt: s.now(),
	}
	sum := sha256.Sum256(sent)
	row.Sha256 = sum[:]
	if same, err := s.same(ctx, row); !errors.Is(err, ErrNotFound) {
		return same, err
	}
	p, err := readPicture(ctx, sent)
	if err != nil {
		return Upload{}, err
	}
	row.ID, row.ContentType, row.Size, row.Width, row.Height = id.New[id.Upload](row.CreatedAt), p.contentType, int64(len(p.large)), int32(p.width), int32(p.height)
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := queries.New()
		if err := q.UploadInsert(ctx, tx, row); err != nil {
			return err
		}
		for piece, content := range map[int32][]byte{small: p.small, 0: p.large} {
			if err := q.UploadPieceInsert(ctx, tx, queries.UploadPieceInsertParams{UploadID: row.ID, Piece: piece, Content: content}); err != nil {
				return err
			}
		}
		return s.recordUploadTx(ctx, tx, by, Upload{
			ID: row.ID, Merchant: merchant, Purpose: ImageUpload, Name: row.Name, ContentType: row.ContentType, Size: row.Size,
		})
	})
	if sentTwice(err) {
		return s.same(ctx, row)
	}
	if err != nil {
		return Upload{}, fmt.Errorf("keep the picture of %s: %w", merchant, err)
	}
	return s.Upload(ctx, row.ID)
}

// UploadFile keeps a file for its buyers, as it is. Sent again under its name, it is the same upload.
// Errors: [*FieldError] for an empty file, [ErrTooLarge].
func (s *Service) UploadFile(ctx context.Context, merchant id.Merchant, name string, r io.Reader, by audit.By) (Upload, error) {
	now := s.now()
	row := queries.UploadInsertParams{ID: id.New[id.Upload](now), MerchantID: merchant, Purpose: string(FileUpload), Name: fileName(name), Sha256: []byte{}, CreatedAt: now}
	first := make([]byte, pieceSize)
	n, err := io.ReadFull(r, first)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		if errors.Is(err, io.EOF) {
			return Upload{}, &FieldError{"file", "The file is empty."}
		}
		return Upload{}, fmt.Errorf("read the file: %w", err)
	}
	row.ContentType = http.DetectContentType(first[:n])
	q := queries.New()
	if err := q.UploadInsert(ctx, s.pool, row); err != nil {
		return Upload{}, fmt.Errorf("keep the file of %s: %w", merchant, err)
	}
	size, sum, err := s.writePieces(ctx, row.ID, io.MultiReader(bytes.NewReader(first[:n]), r))
	if err == nil {
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			whole, err := q.UploadComplete(ctx, tx, queries.UploadCompleteParams{ID: row.ID, Size: size, Sha256: sum})
			if err != nil {
				return err
			}
			return s.recordUploadTx(ctx, tx, by, uploadOf(whole))
		})
	}
	if err == nil {
		return s.Upload(ctx, row.ID)
	}
	// Whoever sent it may be gone; what stays behind goes with those that broke off.
	if gone := q.UploadDelete(context.WithoutCancel(ctx), s.pool, row.ID); gone != nil {
		err = errors.Join(err, gone)
	}
	if sentTwice(err) {
		row.Sha256 = sum
		return s.same(ctx, row)
	}
	return Upload{}, fmt.Errorf("keep the file of %s: %w", merchant, err)
}

// writePieces keeps a file piece by piece; no transaction waits for whoever sends it.
func (s *Service) writePieces(ctx context.Context, upload id.Upload, r io.Reader) (size int64, sum []byte, err error) {
	h, piece := sha256.New(), make([]byte, pieceSize)
	for i := int32(0); ; i++ {
		n, err := io.ReadFull(r, piece)
		size += int64(n)
		if size > MaxFile {
			return 0, nil, ErrTooLarge
		}
		if n > 0 {
			h.Write(piece[:n])
			if err := queries.New().UploadPieceInsert(ctx, s.pool, queries.UploadPieceInsertParams{UploadID: upload, Piece: i, Content: piece[:n]}); err != nil {
				return 0, nil, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return size, h.Sum(nil), nil
		}
		if err != nil {
			return 0, nil, err
		}
	}
}

// same finds what was sent before.
func (s *Service) same(ctx context.Context, row queries.UploadInsertParams) (Upload, error) {
	before, err := queries.New().UploadSame(ctx, s.pool, queries.UploadSameParams{MerchantID: row.MerchantID, Purpose: row.Purpose, Sha256: row.Sha256, Name: row.Name})
	if err != nil {
		return Upload{}, notFound(err)
	}
	return uploadOf(before), nil
}

func sentTwice(err error) bool {
	var twice *pgconn.PgError
	return errors.As(err, &twice) && twice.ConstraintName == "uploads_same"
}

// Upload returns what is known of an upload, or [ErrNotFound].
func (s *Service) Upload(ctx context.Context, upload id.Upload) (Upload, error) {
	row, err := queries.New().UploadByID(ctx, s.pool, upload)
	if err != nil {
		return Upload{}, fmt.Errorf("upload %s: %w", upload, notFound(err))
	}
	return uploadOf(row), nil
}

// Picture returns a picture's bytes, in its small form for lists and tiles if asked for. Errors: [ErrNotFound].
func (s *Service) Picture(ctx context.Context, upload id.Upload, inSmall bool) (Upload, []byte, error) {
	u, err := s.Upload(ctx, upload)
	if err == nil && u.Purpose != ImageUpload {
		err = ErrNotFound
	}
	if err != nil {
		return Upload{}, nil, err
	}
	var piece int32
	if inSmall {
		piece = small
	}
	content, err := queries.New().UploadPiece(ctx, s.pool, queries.UploadPieceParams{UploadID: upload, Piece: piece})
	if err != nil {
		return Upload{}, nil, fmt.Errorf("picture %s: %w", upload, notFound(err))
	}
	return u, content, nil
}

// FileReader reads an uploaded file from anywhere within it, as a download that is taken up again needs. It holds one
// piece at a time.
func (s *Service) FileReader(ctx context.Context, u Upload) io.ReadSeeker {
	return &fileReader{ctx: ctx, shop: s, upload: u, piece: -1}
}

type fileReader struct {
	ctx     context.Context //nolint:containedctx // it is read within one request, by a reader that takes no context
	shop    *Service
	upload  Upload
	at      int64
	piece   int32
	content []byte
}

func (f *fileReader) Read(into []byte) (int, error) {
	if f.at >= f.upload.Size {
		return 0, io.EOF
	}
	piece := int32(f.at / pieceSize)
	if piece != f.piece {
		content, err := queries.New().UploadPiece(f.ctx, f.shop.pool, queries.UploadPieceParams{UploadID: f.upload.ID, Piece: piece})
		if err != nil {
			return 0, fmt.Errorf("piece %d of %s: %w", piece, f.upload.ID, err)
		}
		f.piece, f.content = piece, content
	}
	from := f.at % pieceSize
	if from >= int64(len(f.content)) {
		return 0, fmt.Errorf("piece %d of %s: %w", piece, f.upload.ID, io.ErrUnexpectedEOF)
	}
	n := copy(into, f.content[from:])
	f.at += int64(n)
	return n, nil
}

var errBefore = errors.New("shop: before the beginning of a file")

// Seek implements [io.Seeker].
func (f *fileReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.upload.Size
	}
	if offset < 0 {
		return 0, errBefore
	}
	f.at = offset
	return offset, nil
}

// brokenOff is how long an upload may take.
const brokenOff = 24 * time.Hour

// PurgeUploads drops what was never sent to its end. It has to come round.
func (s *Service) PurgeUploads(ctx context.Context) error {
	if _, err := queries.New().UploadsPurge(ctx, s.pool, s.now().Add(-brokenOff)); err != nil {
		return fmt.Errorf("purge uploads: %w", err)
	}
	return nil
}

// fileName is what a file may be called on its buyer's machine: one line, no folders.
func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !printable(string(r), "") {
			return -1
		}
		return r
	}, name))
	if name == "" || name == "." || name == "/" || name == ".." {
		return "file"
	}
	runes := []rune(name)
	if len(runes) > maxTitle { // the ending says what it is
		runes = append(runes[:maxTitle/2:maxTitle/2], runes[len(runes)-maxTitle/2:]...)
	}
	return string(runes)
}

func uploadOf(r queries.Upload) Upload {
	return Upload{
		ID: r.ID, Merchant: r.MerchantID, Purpose: Purpose(r.Purpose), Name: r.Name, ContentType: r.ContentType, Size: r.Size,
		Width: int(r.Width), Height: int(r.Height), SHA256: [32]byte(r.Sha256), CreatedAt: r.CreatedAt,
	}
}

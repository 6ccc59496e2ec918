package views

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/yeqown/go-qrcode/v2"
)

// quietZone is the white margin of a code, in modules; cameras need it.
const quietZone = 4

// QR is a code as one path of squares, ready to draw at any whole number of pixels per module.
type QR struct {
	Text    string
	modules int
	path    string
}

// NewQR encodes an address at error level M.
func NewQR(text string) (QR, error) {
	code, err := qrcode.NewWith(text, qrcode.WithErrorCorrectionLevel(qrcode.ErrorCorrectionMedium))
	if err != nil {
		return QR{}, fmt.Errorf("encode a QR code: %w", err)
	}
	q := QR{Text: text}
	if err := code.Save(&q); err != nil {
		return QR{}, fmt.Errorf("draw a QR code: %w", err)
	}
	return q, nil
}

// Write takes the modules from the encoder, joining neighbours of a row into one bar.
func (q *QR) Write(m qrcode.Matrix) error {
	rows := m.Bitmap()
	q.modules = len(rows)
	var b strings.Builder
	for y, row := range rows {
		for x := 0; x < len(row); x++ {
			if !row[x] {
				continue
			}
			from := x
			for x < len(row) && row[x] {
				x++
			}
			fmt.Fprintf(&b, "M%d %dh%dv1H%dz", from, y, x-from, from)
		}
	}
	q.path = b.String()
	return nil
}

// Close ends the drawing.
func (q *QR) Close() error { return nil }

func (q QR) viewBox() string {
	side := q.modules + 2*quietZone
	return fmt.Sprintf("%d %d %d %d", -quietZone, -quietZone, side, side)
}

// size is the width of code and quiet zone when the code itself is nearly pixels wide: whole pixels
// per module, as a blurred edge costs scanning distance.
func (q QR) size(pixels int) string {
	perModule := max((pixels+q.modules/2)/max(q.modules, 1), 1)
	return strconv.Itoa(perModule * (q.modules + 2*quietZone))
}

package shop

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	"image/draw"
	_ "image/gif" // its first picture
	"image/jpeg"
	"image/png"
)

const (
	// maxPixels bounds the memory that a picture takes when it is read, whatever the size of its file.
	maxPixels = 24_000_000
	largeSide = 1200
	smallSide = 320
	quality   = 82
)

// picture is what a seller's image became.
type picture struct {
	contentType   string
	width, height int // of the large form
	large, small  []byte
}

// drawing is how many pictures are made at a time: each takes memory.
var drawing = make(chan struct{}, 2)

var errNoPicture = &FieldError{"image", "Send a picture as JPEG, PNG or GIF, of at most 24 million pixels."}

// readPicture makes a picture anew, in two sizes. What it is, its bytes tell and not its name.
func readPicture(ctx context.Context, sent []byte) (picture, error) {
	config, _, err := image.DecodeConfig(bytes.NewReader(sent))
	if err != nil || config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height {
		return picture{}, errNoPicture
	}
	select {
	case drawing <- struct{}{}:
		defer func() { <-drawing }()
	case <-ctx.Done():
		return picture{}, ctx.Err()
	}
	read, format, err := image.Decode(bytes.NewReader(sent))
	if err != nil {
		return picture{}, errNoPicture
	}
	whole := image.NewRGBA(image.Rect(0, 0, read.Bounds().Dx(), read.Bounds().Dy()))
	draw.Draw(whole, whole.Bounds(), read, read.Bounds().Min, draw.Src)
	opaque, turn := whole.Opaque(), 1
	if format == "jpeg" {
		turn = orientation(sent)
	}
	large := turned(shrunk(whole, largeSide), turn)
	p := picture{contentType: "image/png", width: large.Rect.Dx(), height: large.Rect.Dy()}
	if opaque {
		p.contentType = "image/jpeg"
	}
	if p.large, err = encoded(large, opaque); err != nil {
		return picture{}, err
	}
	p.small, err = encoded(shrunk(large, smallSide), opaque)
	return p, err
}

func encoded(img *image.RGBA, opaque bool) ([]byte, error) {
	var out bytes.Buffer
	var err error
	if opaque {
		err = jpeg.Encode(&out, img, &jpeg.Options{Quality: quality})
	} else {
		err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, img)
	}
	return out.Bytes(), err
}

// shrunk makes a picture fit into a square: each new pixel is the mean of those that it stands for.
func shrunk(from *image.RGBA, side int) *image.RGBA {
	w, h := from.Rect.Dx(), from.Rect.Dy()
	longer := max(w, h)
	if longer <= side {
		return from
	}
	nw, nh := max(w*side/longer, 1), max(h*side/longer, 1)
	to := image.NewRGBA(image.Rect(0, 0, nw, nh))
	for y := range nh {
		top, bottom := y*h/nh, max((y+1)*h/nh, y*h/nh+1)
		for x := range nw {
			left, right := x*w/nw, max((x+1)*w/nw, x*w/nw+1)
			to.SetRGBA(x, y, mean(from, image.Rect(left, top, right, bottom)))
		}
	}
	return to
}

func mean(of *image.RGBA, r image.Rectangle) color.RGBA {
	var sum [4]uint64
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := of.Pix[of.PixOffset(r.Min.X, y):of.PixOffset(r.Max.X, y)]
		for i := 0; i < len(row); i += 4 {
			sum[0] += uint64(row[i])
			sum[1] += uint64(row[i+1])
			sum[2] += uint64(row[i+2])
			sum[3] += uint64(row[i+3])
		}
	}
	n := uint64(r.Dx() * r.Dy())
	return color.RGBA{uint8(sum[0] / n), uint8(sum[1] / n), uint8(sum[2] / n), uint8(sum[3] / n)}
}

// turned brings a picture upright that a camera held otherwise, by the number that EXIF gives for it: 1 is upright.
func turned(from *image.RGBA, turn int) *image.RGBA {
	w, h := from.Rect.Dx(), from.Rect.Dy()
	place := map[int]func(x, y int) (int, int){
		2: func(x, y int) (int, int) { return w - 1 - x, y },
		3: func(x, y int) (int, int) { return w - 1 - x, h - 1 - y },
		4: func(x, y int) (int, int) { return x, h - 1 - y },
		5: func(x, y int) (int, int) { return y, x },
		6: func(x, y int) (int, int) { return h - 1 - y, x },
		7: func(x, y int) (int, int) { return h - 1 - y, w - 1 - x },
		8: func(x, y int) (int, int) { return y, w - 1 - x },
	}[turn]
	if place == nil {
		return from
	}
	size := image.Rect(0, 0, w, h)
	if turn >= 5 {
		size = image.Rect(0, 0, h, w)
	}
	to := image.NewRGBA(size)
	for y := range h {
		for x := range w {
			nx, ny := place(x, y)
			to.SetRGBA(nx, ny, from.RGBAAt(x, y))
		}
	}
	return to
}

// orientation reads how a camera was held from a JPEG's EXIF, or 1.
func orientation(file []byte) int {
	for rest := file[min(2, len(file)):]; len(rest) > 4 && rest[0] == 0xff && rest[1] != 0xda; {
		length := int(binary.BigEndian.Uint16(rest[2:4]))
		if length < 2 || length+2 > len(rest) {
			return 1
		}
		segment := rest[4 : length+2]
		if rest[1] == 0xe1 && bytes.HasPrefix(segment, []byte("Exif\x00\x00")) {
			return orientationTag(segment[6:])
		}
		rest = rest[length+2:]
	}
	return 1
}

// orientationTag finds the tag 0x0112 in the first directory of a TIFF.
func orientationTag(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	at := uint64(order.Uint32(tiff[4:8]))
	if at+2 > uint64(len(tiff)) {
		return 1
	}
	entries := uint64(order.Uint16(tiff[at:]))
	for i := range entries {
		entry := at + 2 + 12*i
		if entry+12 > uint64(len(tiff)) {
			return 1
		}
		if order.Uint16(tiff[entry:]) == 0x0112 {
			return int(order.Uint16(tiff[entry+8:]))
		}
	}
	return 1
}

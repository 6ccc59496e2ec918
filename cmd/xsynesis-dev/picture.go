package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
)

// shape is a round or a straight piece of a drawing, whose sides are a hundred long.
type shape struct {
	ink        uint32 // 0xRRGGBB
	x, y, w, h float64
	round      float64 // of the corners: 0 is a box, 1 an ellipse
	turn       float64 // in degrees
}

// drawing is what the demo shows of an item, from the back to the front.
type drawing []shape

const (
	side = 320 // pixels
	fine = 4   // each way: samples of a pixel that an edge runs through
)

// png draws it.
func (d drawing) png() ([]byte, error) {
	corners := make([][]uint32, side+1)
	for y := range corners {
		corners[y] = make([]uint32, side+1)
		for x := range corners[y] {
			corners[y][x] = d.at(float64(x), float64(y))
		}
	}
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			ink := corners[y][x]
			if ink == corners[y][x+1] && ink == corners[y+1][x] && ink == corners[y+1][x+1] {
				img.SetRGBA(x, y, color.RGBA{uint8(ink >> 16), uint8(ink >> 8), uint8(ink), 0xff})
			} else {
				img.SetRGBA(x, y, d.edge(x, y))
			}
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, img)
	return b.Bytes(), err
}

// edge is a pixel's mean.
func (d drawing) edge(x, y int) color.RGBA {
	const n = fine * fine
	var r, g, b uint32
	for i := range n {
		ink := d.at(float64(x)+(float64(i%fine)+.5)/fine, float64(y)+(float64(i/fine)+.5)/fine)
		r, g, b = r+ink>>16&0xff, g+ink>>8&0xff, b+ink&0xff
	}
	return color.RGBA{uint8(r / n), uint8(g / n), uint8(b / n), 0xff}
}

func (d drawing) at(x, y float64) uint32 {
	x, y = x*100/side, y*100/side
	for i := len(d) - 1; i >= 0; i-- {
		if d[i].covers(x, y) {
			return d[i].ink
		}
	}
	return 0xffffff
}

// covers tells whether a point is within: between a box and an ellipse lies everything with round corners.
func (s shape) covers(x, y float64) bool {
	x, y = x-s.x, y-s.y
	if s.turn != 0 {
		sin, cos := math.Sincos(-s.turn * math.Pi / 180)
		x, y = x*cos-y*sin, x*sin+y*cos
	}
	x, y = math.Abs(x), math.Abs(y)
	if x > s.w/2 || y > s.h/2 {
		return false
	}
	rx, ry := s.w/2*s.round, s.h/2*s.round
	if s.round < 1 { // corners are as wide as they are high
		rx = min(rx, ry)
		ry = rx
	}
	cx, cy := x-(s.w/2-rx), y-(s.h/2-ry)
	return cx <= 0 || cy <= 0 || cx*cx/(rx*rx)+cy*cy/(ry*ry) <= 1
}

// on is a drawing on a ground of its own.
func on(ground uint32, d ...shape) drawing {
	return append(drawing{{ink: ground, x: 50, y: 50, w: 100, h: 100}}, d...)
}

func disc(ink uint32, x, y, width float64) shape {
	return shape{ink: ink, x: x, y: y, w: width, h: width, round: 1}
}

func box(ink uint32, x, y, w, h, round float64) shape {
	return shape{ink: ink, x: x, y: y, w: w, h: h, round: round}
}

func turned(s shape, degrees float64) shape {
	s.turn = degrees
	return s
}

// cup is one seen from above, on its saucer.
func cup(ground, coffee uint32, more ...shape) drawing {
	return append(on(ground, disc(0xe9e2d8, 50, 53, 76), disc(0xffffff, 50, 50, 74), box(0xffffff, 84, 50, 22, 10, 1), disc(0xf4efe8, 50, 50, 52), disc(coffee, 50, 50, 46)), more...)
}

// bag is one that stands, with a label.
func bag(ground, paper, label uint32) drawing {
	return on(ground, box(shade(ground), 50, 89, 60, 8, 1), box(paper, 50, 52, 50, 72, .1), box(shade(paper), 50, 20, 50, 8, .2),
		box(label, 50, 58, 34, 30, .1), disc(paper, 50, 54, 10), box(paper, 50, 66, 20, 3, .5))
}

// book is one that leans a little.
func book(ground, cover, ink uint32, more ...shape) drawing {
	d := on(ground, turned(box(shade(ground), 54, 54, 52, 74, .04), 4), turned(box(0xf7f3ea, 52, 51, 52, 74, .03), 4), turned(box(cover, 50, 50, 52, 74, .04), 4),
		turned(box(ink, 51, 27, 34, 3, .5), 4), turned(box(ink, 50.6, 33, 24, 3, .5), 4))
	return append(d, more...)
}

// shade is an ink a little darker.
func shade(ink uint32) uint32 {
	return ink>>16&0xff*85/100<<16 | ink>>8&0xff*85/100<<8 | ink&0xff*85/100
}

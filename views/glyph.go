package views

// glyph is the drawing of a state on a 16 grid. Holes are cut out of the filled shape, not painted
// over it, so that a glyph stands on any ground and survives forced colours.
type glyph struct {
	line string // drawn as strokes
	fill string // filled by the even-odd rule
}

const (
	ring    = "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13z"
	disc    = "M8 .7a7.3 7.3 0 1 1 0 14.6A7.3 7.3 0 0 1 8 .7z"
	diamond = "M8 .2 15.8 8 8 15.8.2 8z"
	octagon = "M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z"
	// dashes are eight arcs of the ring.
	dashes = "M8 1.5a6.5 6.5 0 0 1 2.8.6M12.9 3.7a6.5 6.5 0 0 1 1.5 3.3M14.3 9.5a6.5 6.5 0 0 1-1.7 3M10.5 14a6.5 6.5 0 0 1-5 0M3.4 12.5a6.5 6.5 0 0 1-1.7-3M1.6 7a6.5 6.5 0 0 1 1.5-3.3M5.2 2.1a6.5 6.5 0 0 1 .8-.3"

	tickHole     = "M4 8.8 7 11.9 12.1 6.3 10.7 5.1 7 9.3 5.2 7.6z"
	crossHole    = "M8 6.8l2-2L11.2 6l-2 2 2 2-1.2 1.2-2-2-2 2L4.8 10l2-2-2-2L6 4.8z"
	questionHole = "M6.8 6.3 7.1 5.6 7.6 5.2h.6l.5.2.4.5v.4L7.2 8v1.6h1.6v-1l1.9-1.7-.2-1.5-.8-1.2-1.2-.5-1.4.1-1.2.8-.5 1.1zM7.2 10.6v1.6h1.6v-1.6z"
	exclaimHole  = "M7.1 4h1.8v5h-1.8zM7.1 10.3h1.8v1.7h-1.8z"
	handsHole    = "M7.2 4.6v4l3 1.9.8-1.4-2.2-1.3V4.6z"
	returnHole   = "M3.2 6.9 6.6 4.2v2h3l1.8.7.7 1.9-.7 1.8-1.8 1H7v-1.5h2.2l1-.5.3-.8-.3-.7-1-.4H6.6v1.9z"
	returnArrow  = "M4.8 6.9h4.4a2 2 0 0 1 0 4H7.5M6.8 4.9l-2 2 2 2"
	hands        = "M8 4.8V8.3l2.3 1.4"
)

var glyphs = map[string]glyph{
	"open":              {line: ring},
	"opened":            {line: ring, fill: "M8 5.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4z"},
	"waiting":           {line: ring + "M5 8h.01M8 8h.01M11 8h.01"},
	"settling":          {line: ring, fill: "M8 1.5a6.5 6.5 0 0 1 0 13z"},
	"settled":           {fill: disc + tickHole},
	"unknown":           {fill: diamond + questionHole},
	"settled_late":      {fill: diamond + handsHole},
	"underpaid":         {line: ring, fill: "M2 10.3h12A6.5 6.5 0 0 1 2 10.3z"},
	"overpaid":          {line: "M3.5 1.3h9", fill: "M8 4a5.9 5.9 0 1 1 0 11.8A5.9 5.9 0 0 1 8 4z"},
	"paid_after_cancel": {fill: diamond + exclaimHole},
	"rejected":          {line: ring + "M1.5 8h13"},
	"insufficient":      {line: ring + "M5.2 8h5.6"},
	"wrong_network":     {line: "M6 3.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM9 4.6a4.5 4.5 0 0 1 2-.9M13.3 4.5a4.5 4.5 0 0 1 1.2 2.3M14.3 9.5a4.5 4.5 0 0 1-1.5 2M10.5 12.4a4.5 4.5 0 0 1-1.5-1"},
	"expired":           {line: dashes + hands},
	"cancelled":         {line: ring + "M3.6 12.4l8.8-8.8"},
	"failed":            {fill: octagon + crossHole},
	"reversed":          {fill: octagon + returnHole},
	"refunding":         {line: ring + returnArrow},
	"refunded":          {fill: disc + returnHole},
	"pending":           {line: ring + hands},
}

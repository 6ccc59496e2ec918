package views

import (
	"slices"
	"strconv"
	"time"
)

// Handover is what a buyer who has paid gets, and how. It is filled for whoever has the buyer's token; without it only
// Held and OnwardHost are known.
type Handover struct {
	Goods      []DeliveredGoods
	Held       bool        // there are goods, and the reader has no right to them
	To         []string    // the lines of the address that something is sent to
	Sent       time.Time   // when it was sent; zero: not yet
	SentNotes  []string    // such as tracking numbers, also of the part of it that was sent before the rest
	Onward     string      // where a paid short link leads on: an address of ours that counts and answers 303
	OnwardHost string      // the host it leads to
	Pass       *BoughtPass // for a paid API
	ReceiptURL string      // the receipt as a file, to be checked at [VerifyPath]
}

// DeliveredGoods is what the buyer of one line gets at once.
type DeliveredGoods struct {
	Title string
	File  *DeliveredFile
	Keys  []string
	Late  bool // it was sold out when the money came: the shop has to find it, or gives the money back
}

// BoughtPass is what lets the programs of who has paid call a paid API.
type BoughtPass struct {
	URL    string // of the API
	Token  string
	Once   bool      // it is for one call
	Over   bool      // it opens nothing any more
	EndsAt time.Time // zero: never
}

// DeliveredFile is a file to download.
type DeliveredFile struct {
	Name  string
	Bytes int64
	URL   string // with the buyer's token
	Times int    // how often it was fetched
}

// story is how large a file is, and how often it was fetched.
func (f DeliveredFile) story() string {
	if f.Times == 0 {
		return fileSize(f.Bytes)
	}
	return fileSize(f.Bytes) + ", downloaded " + count(f.Times, "time", "times")
}

// acts tells that the page has something better to do than to save a receipt.
func (d Handover) acts() bool {
	return d.Onward != "" || d.firstFile() >= 0
}

// firstFile is the one of the goods whose download is the page's primary action, or -1.
func (d Handover) firstFile() int {
	if d.Onward != "" {
		return -1
	}
	return slices.IndexFunc(d.Goods, func(g DeliveredGoods) bool { return g.File != nil })
}

// fileSize writes a size as people compare it: 812 bytes, 1.4 MB.
func fileSize(bytes int64) string {
	const kilo = 1000
	if bytes < kilo {
		return strconv.FormatInt(bytes, 10) + noBreak + "bytes"
	}
	units := []string{"kB", "MB", "GB"}
	whole, unit := bytes, 0
	for whole >= kilo*kilo && unit < len(units)-1 {
		whole, unit = whole/kilo, unit+1
	}
	text := strconv.FormatInt(whole/kilo, 10)
	if tenth := whole % kilo / 100; whole < 10*kilo && tenth > 0 {
		text += "." + strconv.FormatInt(tenth, 10)
	}
	return text + noBreak + units[unit]
}

package x402

import (
	"encoding/hex"
	"math/big"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/money"
)

// none stands for an object that is not there: its fields are empty.
const none = -1

// fields takes values out of a JSON document and remembers the first that was not as it must be.
type fields struct {
	nodes []node
	err   *Invalid
}

func (f *fields) refuse(kind Kind, format string, args ...any) {
	if f.err == nil {
		f.err = invalid(kind, format, args...)
	}
}

// find returns the member's index, or none.
func (f *fields) find(object int, name string) int {
	if object == none {
		return none
	}
	for i := object + 1; i < f.nodes[object].end; i = f.nodes[i].end {
		if f.nodes[i].key == name {
			return i
		}
	}
	return none
}

// need returns the member if it is there and of that kind.
func (f *fields) need(object int, name string, kind byte) int {
	i := f.find(object, name)
	if i == none || f.nodes[i].kind != kind {
		f.refuse(Malformed, "%s is missing or of the wrong type", name)
		return none
	}
	return i
}

// object returns the member, which must be an object.
func (f *fields) object(parent int, name string) int { return f.need(parent, name, '{') }

// optional returns the member, none if it is missing or null.
func (f *fields) optional(parent int, name string, kind byte) int {
	if i := f.find(parent, name); i == none || f.nodes[i].kind == 'n' {
		return none
	}
	return f.need(parent, name, kind)
}

// text returns the member, which must be a string that is not empty.
func (f *fields) text(object int, name string) string {
	i := f.need(object, name, '"')
	if i == none {
		return ""
	}
	if f.nodes[i].text == "" {
		f.refuse(Malformed, "%s is empty", name)
	}
	return f.nodes[i].text
}

// optionalText returns the member, "" if it is missing or null.
func (f *fields) optionalText(object int, name string) string {
	if i := f.optional(object, name, '"'); i != none {
		return f.nodes[i].text
	}
	return ""
}

// seconds returns the member, 0 if it is missing: we only echo it.
func (f *fields) seconds(object int, name string) int64 {
	if f.find(object, name) == none {
		return 0
	}
	i := f.need(object, name, '0')
	if i == none {
		return 0
	}
	n, err := strconv.ParseInt(f.nodes[i].text, 10, 64)
	if err != nil || n < 0 {
		f.refuse(Malformed, "%s is no whole number of seconds", name)
		return 0
	}
	return n
}

// uint256 returns the member, which must be a string of decimal digits.
func (f *fields) uint256(object int, name string) *big.Int {
	text := f.text(object, name)
	n, ok := parseUint256(text)
	if !ok {
		f.refuse(Malformed, "%s is no uint256 in decimal digits: %.40q", name, text)
	}
	return n
}

func parseUint256(text string) (*big.Int, bool) {
	if len(text) > 78 {
		return new(big.Int), false
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return new(big.Int), false
		}
	}
	if len(text) < 20 { // 19 digits fit in 64 bits
		n, err := strconv.ParseUint(text, 10, 64)
		return new(big.Int).SetUint64(n), err == nil
	}
	n, ok := new(big.Int).SetString(text, 10)
	return n, ok && n.BitLen() <= 256
}

func bigUnits(amount money.USDC) *big.Int { return big.NewInt(int64(amount)) }

// address accepts any case: capital letters are a checksum for people.
func (f *fields) address(object int, name string) (a common.Address) {
	f.bytes(object, name, a[:])
	return a
}

func (f *fields) hash(object int, name string) (h common.Hash) {
	f.bytes(object, name, h[:])
	return h
}

func (f *fields) bytes(object int, name string, into []byte) {
	text := f.text(object, name)
	if len(text) == 2+2*len(into) && text[:2] == "0x" {
		if _, err := hex.Decode(into, []byte(text[2:])); err == nil {
			return
		}
	}
	f.refuse(Malformed, "%s is not 0x and %d hex digits", name, 2*len(into))
}

// signature may have any length: that of a contract's is its own affair.
func (f *fields) signature(object int, name string) []byte {
	text := f.text(object, name)
	if len(text) > 2 && text[:2] == "0x" {
		if signature, err := hex.DecodeString(text[2:]); err == nil {
			return signature
		}
	}
	f.refuse(Malformed, "%s is not 0x and pairs of hex digits", name)
	return nil
}

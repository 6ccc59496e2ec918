// Package id names every row of a shop: text with a prefix, the same in URL, log, database and webhook.
package id

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// ErrMalformed is returned by [Parse] and [ParseToken] for text that no row can have.
var ErrMalformed = errors.New("id: malformed")

type (
	// Merchant is a shop, the only tenant (`seller_id` in public JSON).
	Merchant string
	// Person is someone who signs in.
	Person string
	// Item is something on sale.
	Item string
	// Link is a payment link; its public name is its token.
	Link string
	// Attempt is one purchase by one buyer.
	Attempt string
	// Claim ties a buyer's authorization to an attempt.
	Claim string
	// Settlement is the proof that money moved.
	Settlement string
	// Sale is one paid line.
	Sale string
	// Posting is a group of ledger entries that sum to zero.
	Posting string
	// Key is an API key's row, never its secret.
	Key string
	// Event is something that happened, as merchants' servers are told it.
	Event string
	// Subscription is a merchant's server that wants to be told.
	Subscription string
	// Delivery is one event on its way to one subscription.
	Delivery string
	// Replay is a group of failed deliveries that are sent again.
	Replay string
	// Notice is a line in the dashboard's bell.
	Notice string
	// Session is a browser in which somebody is signed in; its secret is another.
	Session string
	// Device is a tablet on the counter.
	Device string
	// Audit is a line of what somebody did.
	Audit string
	// PayeeChange is another receiving address that waits for its time.
	PayeeChange string
	// Invite asks somebody into a shop; its secret is another.
	Invite string
	// BuyerKey is what buyers' tokens are derived from, sealed.
	BuyerKey string
	// Reservation is stock that a purchase holds.
	Reservation string
	// Upload is a picture or a file of a seller.
	Upload string
	// Exception is money that came for what could not be sold any more.
	Exception string
	// Endpoint is a resource of a seller's own server that programs pay for.
	Endpoint string
	// Pass lets who has paid for an endpoint call it for a while.
	Pass string
	// Code is an activation code; the word that is handed out is another.
	Code string
	// CodeBatch is activation codes that were made together.
	CodeBatch string
	// Payout is money on its way from what is kept for a shop to a wallet.
	Payout string
	// Refund is money on its way back to a buyer.
	Refund string
)

// Prefix returns "sel_".
func (Merchant) Prefix() string { return "sel_" }

// Prefix returns "usr_".
func (Person) Prefix() string { return "usr_" }

// Prefix returns "itm_".
func (Item) Prefix() string { return "itm_" }

// Prefix returns "lnk_".
func (Link) Prefix() string { return "lnk_" }

// Prefix returns "pa_".
func (Attempt) Prefix() string { return "pa_" }

// Prefix returns "pay_".
func (Payout) Prefix() string { return "pay_" }

// Prefix returns "rfd_".
func (Refund) Prefix() string { return "rfd_" }

// Prefix returns "clm_".
func (Claim) Prefix() string { return "clm_" }

// Prefix returns "stl_".
func (Settlement) Prefix() string { return "stl_" }

// Prefix returns "sal_".
func (Sale) Prefix() string { return "sal_" }

// Prefix returns "pst_".
func (Posting) Prefix() string { return "pst_" }

// Prefix returns "key_".
func (Key) Prefix() string { return "key_" }

// Prefix returns "evt_".
func (Event) Prefix() string { return "evt_" }

// Prefix returns "ws_".
func (Subscription) Prefix() string { return "ws_" }

// Prefix returns "dlv_".
func (Delivery) Prefix() string { return "dlv_" }

// Prefix returns "rpl_".
func (Replay) Prefix() string { return "rpl_" }

// Prefix returns "ntc_".
func (Notice) Prefix() string { return "ntc_" }

// Prefix returns "ses_".
func (Session) Prefix() string { return "ses_" }

// Prefix returns "dev_".
func (Device) Prefix() string { return "dev_" }

// Prefix returns "aud_".
func (Audit) Prefix() string { return "aud_" }

// Prefix returns "pch_".
func (PayeeChange) Prefix() string { return "pch_" }

// Prefix returns "inv_".
func (Invite) Prefix() string { return "inv_" }

// Prefix returns "byk_".
func (BuyerKey) Prefix() string { return "byk_" }

// Prefix returns "res_".
func (Reservation) Prefix() string { return "res_" }

// Prefix returns "upl_".
func (Upload) Prefix() string { return "upl_" }

// Prefix returns "exc_".
func (Exception) Prefix() string { return "exc_" }

// Prefix returns "cod_".
func (Code) Prefix() string { return "cod_" }

// Prefix returns "cbt_".
func (CodeBatch) Prefix() string { return "cbt_" }

// Prefix returns "end_".
func (Endpoint) Prefix() string { return "end_" }

// Prefix returns "pss_".
func (Pass) Prefix() string { return "pss_" }

type kind interface {
	~string
	Prefix() string
}

// length is that of 16 bytes in base58, padded on the left.
const length = 22

// alphabet is Bitcoin's base58, in ASCII order, so that ids sort as their bytes do.
const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// New makes an id that sorts after those of earlier milliseconds: 48 bits of time, 80 random bits.
func New[T kind](now time.Time) T {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(b[6:])
	var zero T
	return T(zero.Prefix() + base58(b[:]))
}

// First returns what sorts before every id made at or after a time, and after every id made a millisecond earlier.
func First[T kind](at time.Time) T {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(at.UnixMilli())<<16)
	var zero T
	return T(zero.Prefix() + base58(b[:]))
}

// Parse accepts what [New] makes and nothing else, or returns [ErrMalformed].
func Parse[T kind](s string) (T, error) {
	var zero T
	rest, ok := strings.CutPrefix(s, zero.Prefix())
	if !ok || !isBase58(rest) {
		return zero, fmt.Errorf("%w: %.8q is no %s…", ErrMalformed, s, zero.Prefix())
	}
	return T(s), nil
}

// NewToken returns 22 characters of base58 that hold 128 random bits: the public name of a link.
func NewToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return base58(b[:])
}

// ParseToken accepts what [NewToken] makes, or returns [ErrMalformed].
func ParseToken(s string) (string, error) {
	if !isBase58(s) {
		return "", fmt.Errorf("%w: %.8q is no token", ErrMalformed, s)
	}
	return s, nil
}

// Token writes 16 bytes as a token: for secrets that are derived and not drawn.
func Token(b [16]byte) string { return base58(b[:]) }

func base58(b []byte) string {
	var out [length]byte
	n, radix, rest := new(big.Int).SetBytes(b), big.NewInt(58), new(big.Int)
	for i := length - 1; i >= 0; i-- {
		n.DivMod(n, radix, rest)
		out[i] = alphabet[rest.Int64()]
	}
	return string(out[:])
}

func isBase58(s string) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(alphabet, s[i]) < 0 {
			return false
		}
	}
	return true
}

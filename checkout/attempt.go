// Package checkout turns a buyer's intent into one sale, exactly once.
package checkout

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/queries"
	"xsynesis/shop"
)

// Status is where a purchase stands.
type Status string

// The states of an attempt, as JSON carries them.
const (
	Open        Status = "open"         // may be paid
	Settling    Status = "settling"     // a payment is claimed, the chain has not answered
	Unknown     Status = "unknown"      // the outcome is not known: nobody may be asked to pay again
	Settled     Status = "settled"      // paid
	SettledLate Status = "settled_late" // paid after its time
	Expired     Status = "expired"      // its time is over, unpaid
	Cancelled   Status = "cancelled"    // ended by the shop, or gave way to a buyer who paid
	Failed      Status = "failed"       // its payment can never be mined
	Reversed    Status = "reversed"     // the chain took the payment back
)

// next is every legal move; the database refuses the others.
var next = map[Status][]Status{
	Open:        {Settling, Settled, Expired, Cancelled},
	Settling:    {Settled, Open, Unknown, Failed},
	Unknown:     {Settled, Settling, Failed},
	Expired:     {SettledLate},
	Cancelled:   {SettledLate},
	Settled:     {Reversed},
	SettledLate: {Reversed},
}

// CanBecome tells whether a purchase may go from here to there.
func (s Status) CanBecome(to Status) bool { return slices.Contains(next[s], to) }

// Paid tells whether the shop has the money.
func (s Status) Paid() bool { return s == Settled || s == SettledLate }

// UnderWay tells whether a payment is claimed and its outcome is still open.
func (s Status) UnderWay() bool { return s == Settling || s == Unknown }

var (
	// ErrNotFound is returned for purchases that do not exist or belong to another merchant.
	ErrNotFound = errors.New("checkout: not found")
	// ErrExpired is returned when a purchase's time is over, or the shop ended it.
	ErrExpired = errors.New("checkout: purchase is over")
	// ErrInProgress is returned when somebody else's payment for the same purchase is under way.
	ErrInProgress = errors.New("checkout: another payment is under way")
	// ErrPaid is returned when a purchase is paid already, by another payment.
	ErrPaid = errors.New("checkout: already paid")
	// ErrAlreadyUsed is returned when a payment was used for something else.
	ErrAlreadyUsed = errors.New("checkout: payment already used")
	// ErrPending is returned while the chain has not answered: the same payment may be sent again, no other.
	ErrPending = errors.New("checkout: settlement pending")
	// ErrUnfunded is returned when no relayer can pay for gas, so no payment may be asked for.
	ErrUnfunded = errors.New("checkout: relayer unfunded")
	// ErrTooManyUnpaid is returned when unpaid purchases hold too much of what is limited.
	ErrTooManyUnpaid = errors.New("checkout: too many unpaid purchases")
	// ErrFailed is returned for a purchase whose payment can never be mined any more.
	ErrFailed = errors.New("checkout: payment failed")
	// ErrReversed is returned for a purchase whose payment the chain took back.
	ErrReversed = errors.New("checkout: payment reversed")
	// ErrFree is returned where nothing has to be paid: such a purchase is begun, and never paid.
	ErrFree = errors.New("checkout: nothing to pay")
	// ErrNotOpen is returned when only an open purchase will do.
	ErrNotOpen = errors.New("checkout: purchase is not open")
)

// Attempt is one purchase by one buyer: a quote that never changes, and its fate.
type Attempt struct {
	ID             id.Attempt
	Merchant       id.Merchant
	Shop           string
	Domain         string
	Link           id.Link // empty when it was not begun from a link
	LinkToken      string
	LinkMessage    string // what its link's shop tells who has paid, now
	LeadsTo        string // where its link leads who has paid, now
	Channel        string
	Livemode       bool
	Status         Status
	Network        evm.Network
	PayTo          common.Address
	Collected      bool // it is kept for the shop there, see [ledger.Custody]
	Amount         money.USDC
	AmountReceived money.USDC
	Refunded       money.USDC // of AmountReceived, to the buyer; also what is under way
	Title          string
	Lines          []Line
	Salt           [32]byte
	CartHash       common.Hash
	Nonce          common.Hash
	Refusal        string // why the last payment was refused, as an [x402.Kind]
	Refusals       int
	Simulated      bool
	SuccessURL     string
	CancelURL      string
	Reference      string
	Metadata       json.RawMessage
	ExpiresAt      time.Time
	CreatedAt      time.Time
	UpdatedAt      time.Time
	SettledAt      *time.Time
	HoldsStock     bool  // some of its lines hold stock, or claimed it
	Buyer          Buyer // only where it is begun: [Service.BuyerOf] reads it

	tokenHash []byte
	once      []byte
	from      string // the buyer's network address, while unpaid purchases are counted by it
	holds     bool   // one of its link's limited payments
	direct    bool   // begun by a payment and not by a buyer's tap: a refusal ends it
}

// Claimed is the payment that a purchase is, or was last, tied to.
type Claimed struct {
	Payer       common.Address
	Nonce       common.Hash
	Version     int
	At          time.Time
	ValidBefore time.Time
}

// Settlement is what is known of the money's way.
type Settlement struct {
	ID          id.Settlement
	Attempt     id.Attempt
	Facilitator string
	Status      string
	Network     evm.Network
	Payer       string
	PayTo       string
	Amount      money.USDC
	Simulated   bool
	Transaction string
	Block       int64
	LastError   string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	ConfirmedAt *time.Time
}

// Purchase is an attempt with its living payment and its settlement, where they exist.
type Purchase struct {
	Attempt
	Claim      *Claimed
	Settlement *Settlement
}

func (s *Service) attempt(r queries.Attempt, m queries.Merchant, linkToken string, lines []queries.AttemptLine) (Attempt, error) {
	n, err := s.networks.Network(r.Network)
	if err != nil {
		return Attempt{}, err
	}
	a := Attempt{
		ID: r.ID, Merchant: r.MerchantID, Shop: m.Name, Domain: m.Domain, LinkToken: linkToken, Channel: r.Channel,
		Livemode: r.Livemode, Status: Status(r.Status), Network: n, PayTo: common.HexToAddress(r.PayTo), Collected: r.Collected, Amount: r.Amount,
		AmountReceived: r.AmountReceived, Refunded: r.Refunded, Title: r.Title, Salt: [32]byte(r.CartSalt), CartHash: common.BytesToHash(r.CartHash),
		Nonce: common.HexToHash(r.Nonce), Refusal: r.Refusal, Refusals: int(r.Refusals),
		Simulated: r.Simulated, SuccessURL: r.SuccessUrl, CancelURL: r.CancelUrl, Reference: r.Reference, Metadata: r.Metadata,
		ExpiresAt: r.ExpiresAt, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, SettledAt: r.SettledAt, HoldsStock: r.HoldsStock, tokenHash: r.BuyerTokenHash, direct: r.Direct,
	}
	if r.LinkID != nil {
		a.Link = *r.LinkID
	}
	for _, l := range lines {
		a.Lines = append(a.Lines, Line{ItemID: l.ItemID, Title: l.Title, Kind: shop.Kind(l.Kind), File: l.FileID, Qty: int(l.Qty), UnitAmount: l.UnitAmount, Revoked: l.RevokedAt != nil})
	}
	return a, nil
}

func (s *Service) settlement(r queries.Settlement) (Settlement, error) {
	n, err := s.networks.Network(r.Network)
	if err != nil {
		return Settlement{}, err
	}
	out := Settlement{
		ID: r.ID, Facilitator: r.Facilitator, Status: r.Status, Network: n, Payer: r.Payer, PayTo: r.PayTo, Amount: r.Amount,
		Simulated: r.Simulated, Transaction: r.Transaction, LastError: r.LastError, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
		ConfirmedAt: r.ConfirmedAt,
	}
	if r.AttemptID != nil {
		out.Attempt = *r.AttemptID
	}
	if r.BlockNumber != nil {
		out.Block = *r.BlockNumber
	}
	return out, nil
}

package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/webhook"
)

// PayeeWait is how long another receiving address waits before it is quoted, so that a thief's can be stopped.
const PayeeWait = 24 * time.Hour

// ErrNotReady is returned instead of letting a shop take real money that no proven address would get.
var ErrNotReady = errors.New("shop: no proven address on a live network")

// AddressKind is what is at an address.
type AddressKind string

// The kinds.
const (
	Unchecked AddressKind = "" // its network has not answered yet
	Wallet    AddressKind = "wallet"
	Contract  AddressKind = "contract" // such as a Safe
)

// ReceivingAddress is where a shop is paid on one network.
type ReceivingAddress struct {
	Network  evm.Network
	Address  common.Address // zero: nothing was said yet
	Kind     AddressKind
	ProvenAt *time.Time // when its holder signed that it is the shop's
	Since    time.Time
	Next     *NextAddress // what waits to take its place
}

// Given tells whether there is an address.
func (a ReceivingAddress) Given() bool { return a.Address != common.Address{} }

// NextAddress waits to take an address's place. On a live network it waits also for its proof.
type NextAddress struct {
	ID       id.PayeeChange
	Address  common.Address
	Kind     AddressKind
	ProvenAt *time.Time
	AskedAt  time.Time
	From     time.Time // quotes name it from here on
}

// Payees is where shops are paid.
type Payees struct {
	pool     *pgxpool.Pool
	networks *evm.Registry
	chains   map[string]*evm.Chain
	hooks    *webhook.Service
	now      func() time.Time
}

// NewPayees returns them. chains, by network, say what is at an address; where one is missing or silent, addresses stay
// unchecked.
func NewPayees(pool *pgxpool.Pool, networks *evm.Registry, chains map[string]*evm.Chain, hooks *webhook.Service, now func() time.Time) *Payees {
	return &Payees{pool: pool, networks: networks, chains: chains, hooks: hooks, now: now}
}

// Networks are those on which a shop can be paid here.
func (p *Payees) Networks() []evm.Network { return p.networks.All() }

// ParseAddress reads an address as people type or paste it. Letters of both cases are its checksum (EIP-55); an address
// of one case has none. Errors: [*FieldError].
func ParseAddress(text string) (common.Address, error) {
	text = strings.TrimSpace(text)
	digits, found := strings.CutPrefix(text, "0x")
	if !found {
		digits, found = strings.CutPrefix(text, "0X")
	}
	address := common.HexToAddress(text)
	switch {
	case text == "":
		return address, &FieldError{"address", "Give the address of your wallet."}
	case !found || !common.IsHexAddress(text):
		return address, &FieldError{"address", "An address is 0x and 40 figures and letters from a to f. Copy it from your wallet."}
	case digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && digits != address.Hex()[2:]:
		return address, &FieldError{"address", "A character is wrong: the capital letters do not fit the rest. Copy it from your wallet."}
	case address == common.Address{}:
		return address, &FieldError{"address", "Money sent there would be lost. Give your own address."}
	}
	return address, nil
}

// Addresses lists where a shop is paid: each network that can be used here, and others at which it has an address.
func (p *Payees) Addresses(ctx context.Context, merchant id.Merchant) ([]ReceivingAddress, error) {
	rows, err := queries.New().PayeeList(ctx, p.pool, merchant)
	if err != nil {
		return nil, fmt.Errorf("receiving addresses of %s: %w", merchant, err)
	}
	now := p.now()
	var out []ReceivingAddress
	for _, r := range rows {
		n, err := p.networks.Network(r.Payee.Network)
		if err != nil {
			continue // a network that this version does not know any more
		}
		out = append(out, receiving(r, n, now))
	}
	for _, n := range p.networks.All() {
		if !slices.ContainsFunc(out, func(a ReceivingAddress) bool { return a.Network.ID == n.ID }) {
			out = append(out, ReceivingAddress{Network: n})
		}
	}
	// Real money first.
	slices.SortStableFunc(out, func(a, b ReceivingAddress) int {
		if a.Network.Test != b.Network.Test {
			if a.Network.Test {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Network.ID, b.Network.ID)
	})
	return out, nil
}

func receiving(r queries.PayeeListRow, n evm.Network, now time.Time) ReceivingAddress {
	counts, due := countsNow(r, n, now)
	a := ReceivingAddress{
		Network: n, Address: common.HexToAddress(counts.Address), Kind: AddressKind(counts.Kind), ProvenAt: counts.ProvenAt, Since: counts.CreatedAt,
	}
	if r.ChangeID != "" && !due {
		a.Next = &NextAddress{
			ID: id.PayeeChange(r.ChangeID), Address: common.HexToAddress(*r.ChangeAddress), Kind: AddressKind(*r.ChangeKind),
			ProvenAt: r.ChangeProvenAt, AskedAt: *r.ChangeCreatedAt, From: *r.ChangeEffectiveAt,
		}
	}
	return a
}

// countsNow is what is quoted on a network, also in the moments between a change's time and the sweep that writes it
// into its place. due tells that it is the changed address.
func countsNow(r queries.PayeeListRow, n evm.Network, now time.Time) (counts queries.Payee, due bool) {
	counts = r.Payee
	if r.ChangeID == "" || now.Before(*r.ChangeEffectiveAt) || r.ChangeProvenAt == nil && !n.Test {
		return counts, false
	}
	counts.Address, counts.Kind, counts.ProvenAt, counts.CreatedAt = *r.ChangeAddress, *r.ChangeKind, r.ChangeProvenAt, *r.ChangeEffectiveAt
	return counts, true
}

// MayGoLive tells whether the shop has a proven address on a live network that can be used here.
func (p *Payees) MayGoLive(ctx context.Context, merchant id.Merchant) (bool, error) {
	addresses, err := p.Addresses(ctx, merchant)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(addresses, func(a ReceivingAddress) bool {
		return !a.Network.Test && len(a.Network.RPC) > 0 && a.ProvenAt != nil
	}), nil
}

// kindOf asks a network what is at an address; it never stands in the way.
func (p *Payees) kindOf(ctx context.Context, network string, address common.Address) AddressKind {
	chain, ok := p.chains[network]
	if !ok {
		return Unchecked
	}
	contract, err := chain.IsContract(ctx, address)
	switch {
	case err != nil:
		return Unchecked
	case contract:
		return Contract
	default:
		return Wallet
	}
}

// SetPayee says where a shop is paid on a network, if nothing was said yet. proven is when the shop
// showed that the address is its own, or nil. It is for the development build and for tests.
func (s *Service) SetPayee(ctx context.Context, merchant id.Merchant, network string, address common.Address, proven *time.Time) error {
	n, err := s.networks.Network(network)
	if err != nil {
		return err
	}
	if err := payable(n, address); err != nil {
		return err
	}
	q := queries.New()
	_, err = q.PayeeByNetwork(ctx, s.pool, queries.PayeeByNetworkParams{MerchantID: merchant, Network: network})
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if err := q.PayeeInsert(ctx, s.pool, queries.PayeeInsertParams{
		MerchantID: merchant, Network: network, Address: lower(address), ProvenAt: proven, CreatedAt: s.now(),
	}); err != nil {
		return fmt.Errorf("payee of %s: %w", merchant, err)
	}
	return nil
}

// payable refuses what takes money and never gives it back.
func payable(n evm.Network, address common.Address) error {
	switch address {
	case common.Address{}:
		return &FieldError{"address", "Money sent there would be lost. Give your own address."}
	case n.Token.Address:
		return &FieldError{"address", "This is the address of USDC itself. Money sent there would be lost. Give your own address."}
	}
	return nil
}

func lower(a common.Address) string { return strings.ToLower(a.Hex()) }

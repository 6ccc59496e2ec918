package shop

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
)

// reportTimeout is how long somebody who typed an address waits for all that is asked about it.
const reportTimeout = 3 * time.Second

// ClockTolerance is how far our clock may be from a network's before payments, which carry times, are refused.
const ClockTolerance = 30 * time.Second

// AddressReport is what can be said of an address before a shop is paid at it.
type AddressReport struct {
	Address common.Address
	Kind    AddressKind // a contract if it is one on any network
	// Receives tells whether the token takes payments for it. Nil: no network said so.
	Receives *bool
	Needed   int // of a Safe's owners; 0: it is none
	Owners   int
	// Skew is how far our clock is ahead of a network's; 0 where it is near enough, or nobody knows.
	Skew time.Duration
}

// Report looks at an address, changing nothing. Networks that do not answer are no reason against it.
// Errors: [*FieldError] for an address that no shop can be paid at, or not this one.
func (p *Payees) Report(ctx context.Context, merchant id.Merchant, text string) (AddressReport, error) {
	address, err := ParseAddress(text)
	if err != nil {
		return AddressReport{}, err
	}
	for _, n := range p.networks.Known() {
		if err := payable(n, address); err != nil {
			return AddressReport{}, err
		}
		taken, err := queries.New().PayeeTaken(ctx, p.pool, queries.PayeeTakenParams{Network: n.ID, Address: lower(address), MerchantID: merchant})
		if err != nil {
			return AddressReport{}, fmt.Errorf("look for %s: %w", address, err)
		}
		if taken {
			return AddressReport{}, errTaken
		}
	}
	return p.ask(ctx, address), nil
}

var errTaken = &FieldError{"address", "Another shop here has proven that this address is its own. Give another one."}

// ask asks all networks at once.
func (p *Payees) ask(ctx context.Context, address common.Address) AddressReport {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var mu sync.Mutex
	var asked sync.WaitGroup
	r := AddressReport{Address: address}
	for network, chain := range p.chains {
		asked.Go(func() {
			one := AddressReport{Kind: p.kindOf(ctx, network, address), Skew: p.skew(ctx, chain)}
			if one.Kind == Contract {
				one.Needed, one.Owners, _ = chain.Signers(ctx, address) // most contracts are no Safe
			}
			if blocked, err := chain.Blocked(ctx, address); err == nil {
				one.Receives = new(!blocked)
			}
			mu.Lock()
			defer mu.Unlock()
			r.add(one)
		})
	}
	asked.Wait()
	return r
}

// add takes in what one network said; what speaks against the address wins.
func (r *AddressReport) add(one AddressReport) {
	if r.Kind == Unchecked || one.Kind == Contract {
		r.Kind = one.Kind
	}
	if one.Needed > 0 {
		r.Needed, r.Owners = one.Needed, one.Owners
	}
	if one.Receives != nil && (r.Receives == nil || !*one.Receives) {
		r.Receives = one.Receives
	}
	if one.Skew != 0 {
		r.Skew = one.Skew
	}
}

// skew compares our clock with a chain's newest block.
func (p *Payees) skew(ctx context.Context, chain *evm.Chain) time.Duration {
	head, err := chain.Head(ctx)
	if err != nil {
		return 0
	}
	off := p.now().Sub(head.Time)
	if off.Abs() <= ClockTolerance {
		return 0
	}
	return off.Truncate(time.Second)
}

// blocked tells whether the token refuses to pay an address. A network that does not answer refuses nothing.
func (p *Payees) blocked(ctx context.Context, network string, address common.Address) bool {
	chain, ok := p.chains[network]
	if !ok {
		return false
	}
	blocked, err := chain.Blocked(ctx, address)
	return err == nil && blocked
}

// BlockedSentence is why a shop cannot be paid at an address that the token refuses.
const BlockedSentence = "USDC does not pay this address: its issuer has blocked it. Give another one."

var errBlocked = &FieldError{"address", BlockedSentence}

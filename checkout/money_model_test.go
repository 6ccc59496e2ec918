package checkout_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"xsynesis/money"
)

// onPaper is a shop's money as somebody with paper and pencil has it: what each event does to it, and no word of how the shop
// itself keeps its books.
type onPaper struct {
	bps          int64 // of the platform's fee, of what is kept
	own, deposit common.Address
	kept         standing
	lies         map[common.Address]money.USDC // what lies where
	bought       []*bought
	strays       []*stray
}

// standing is how a shop's money stands.
type standing struct {
	available money.USDC // owed to the shop
	fees      money.USDC // of the platform
	inPayout  money.USDC // on its way to the shop
	inRefund  money.USDC // on its way to buyers, of what is kept
	open      money.USDC // nobody knows what for, of what is kept
	deposited money.USDC // kept in all
	received  money.USDC // what the shop's own address was paid, less what it gave back
}

// bought is a purchase that was paid.
type bought struct {
	payer, payee common.Address
	collected    bool
	came, fee    money.USDC
	back, feeOff money.USDC // given back, or about to be
	reversed     bool
}

// stray is money that pays for nothing.
type stray struct {
	payer, payee common.Address
	collected    bool
	amount       money.USDC
	decided      bool // it is on its way back
	arrived      bool // and there
}

// leaving is money on its way out.
type leaving struct {
	from, to common.Address
	amount   money.USDC
	arrived  func(k *standing)
	returned func(k *standing)
}

func (m *onPaper) move(from, to common.Address, amount money.USDC) {
	m.lies[from] -= amount
	m.lies[to] += amount
}

// pays is a purchase that a wallet pays, at an address of the shop's own or at the one that is kept for it.
func (m *onPaper) pays(payer, payee common.Address, amount money.USDC) *bought {
	b := &bought{payer: payer, payee: payee, collected: payee == m.deposit, came: amount}
	m.move(payer, payee, amount)
	if b.collected {
		b.fee = money.USDC(int64(amount) * m.bps / 10_000)
	}
	m.enter(b, 1)
	m.bought = append(m.bought, b)
	return b
}

// enter is what a sale does to the shop's money, or what undoes it.
func (m *onPaper) enter(b *bought, sign money.USDC) {
	if !b.collected {
		m.kept.received += sign * b.came
		return
	}
	m.kept.deposited += sign * b.came
	m.kept.available += sign * (b.came - b.fee)
	m.kept.fees += sign * b.fee
}

// loses is a payment that the chain takes back.
func (m *onPaper) loses(b *bought) {
	m.move(b.payee, b.payer, b.came)
	m.enter(b, -1)
	b.reversed = true
}

// finds is money that comes without a purchase.
func (m *onPaper) finds(payer, payee common.Address, amount money.USDC) {
	x := &stray{payer: payer, payee: payee, collected: payee == m.deposit, amount: amount}
	m.move(payer, payee, amount)
	if x.collected {
		m.kept.open += amount
		m.kept.deposited += amount
	}
	m.strays = append(m.strays, x)
}

// gives is a refund of a purchase, or nil where there is not so much to give. The platform gives its share of it back, and in
// the end all of it.
func (m *onPaper) gives(b *bought, amount money.USDC) *leaving {
	fee := b.fee*(b.back+amount)/b.came - b.feeOff
	switch {
	case b.reversed || amount > b.came-b.back || b.collected && amount-fee > m.kept.available:
		return nil
	case !b.collected:
		b.back += amount
		return &leaving{
			from: m.own, to: b.payer, amount: amount,
			arrived:  func(k *standing) { k.received -= amount },
			returned: func(*standing) { b.back -= amount },
		}
	}
	b.back += amount
	b.feeOff += fee
	m.kept.available -= amount - fee
	m.kept.fees -= fee
	m.kept.inRefund += amount
	return &leaving{
		from: m.deposit, to: b.payer, amount: amount,
		arrived: func(k *standing) { k.inRefund -= amount; k.deposited -= amount },
		returned: func(k *standing) {
			k.inRefund -= amount
			k.available += amount - fee
			k.fees += fee
			b.back -= amount
			b.feeOff -= fee
		},
	}
}

// sendsBack is a refund of money that pays for nothing.
func (m *onPaper) sendsBack(x *stray) *leaving {
	x.decided = true
	if !x.collected {
		return &leaving{from: m.own, to: x.payer, amount: x.amount, arrived: func(*standing) { x.arrived = true }, returned: func(*standing) { x.decided = false }}
	}
	m.kept.open -= x.amount
	m.kept.inRefund += x.amount
	return &leaving{
		from: m.deposit, to: x.payer, amount: x.amount,
		arrived:  func(k *standing) { k.inRefund -= x.amount; k.deposited -= x.amount; x.arrived = true },
		returned: func(k *standing) { k.inRefund -= x.amount; k.open += x.amount; x.decided = false },
	}
}

// paysOut is a payout, or nil where less is owed.
func (m *onPaper) paysOut(amount money.USDC) *leaving {
	if amount > m.kept.available {
		return nil
	}
	m.kept.available -= amount
	m.kept.inPayout += amount
	return &leaving{
		from: m.deposit, to: m.own, amount: amount,
		arrived:  func(k *standing) { k.inPayout -= amount; k.deposited -= amount },
		returned: func(k *standing) { k.inPayout -= amount; k.available += amount },
	}
}

func (m *onPaper) arrives(l *leaving) {
	m.move(l.from, l.to, l.amount)
	l.arrived(&m.kept)
}

func (m *onPaper) returns(l *leaving) { l.returned(&m.kept) }

// differs tells what is not as it is on paper.
func (m *onPaper) differs(kept standing, lies map[common.Address]money.USDC) error {
	k := m.kept
	switch {
	case kept != k:
		return fmt.Errorf("the books have %+v, on paper it is %+v", kept, k)
	case !maps.Equal(lies, m.lies):
		return fmt.Errorf("the chain has %v, on paper it is %v", lies, m.lies)
	case k.available < 0 || k.deposited != m.lies[m.deposit] || k.deposited != k.available+k.fees+k.inPayout+k.inRefund+k.open:
		return fmt.Errorf("the paper itself does not add up: %+v, and %s lie there", k, m.lies[m.deposit])
	case slices.ContainsFunc(m.bought, func(b *bought) bool { return b.back > b.came || b.feeOff > b.fee }):
		return fmt.Errorf("more went back than was paid: %+v", k)
	default:
		return nil
	}
}

package shop_test

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/shop"
)

var (
	ada     = audit.By{Actor: "Ada", Address: "203.0.113.7", UserAgent: "a browser"}
	another = common.HexToAddress("0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc")
	third   = common.HexToAddress("0x976EA74026E726554dB657fA54763abd0C3a581E")
)

// payees are the shop's, without a network that answers.
func (c counter) payees() *shop.Payees {
	return shop.NewPayees(c.pool, evm.NewRegistry(map[uint64][]string{8453: {"http://127.0.0.1:1"}, 84532: {"http://127.0.0.1:1"}}), nil, c.hooks, c.now)
}

func (c counter) set(t *testing.T, merchant id.Merchant, address common.Address, proven bool, networks ...string) {
	t.Helper()
	form := shop.AddressForm{Address: address, Networks: networks, Proven: func(evm.Network) bool { return proven }}
	require.NoError(t, c.payees().SetAddress(t.Context(), merchant, form, ada))
}

// at is where a shop is paid on a network.
func (c counter) at(t *testing.T, network string) shop.ReceivingAddress {
	t.Helper()
	all, err := c.payees().Addresses(t.Context(), c.merchant)
	require.NoError(t, err)
	for _, a := range all {
		if a.Network.ID == network {
			return a
		}
	}
	t.Fatalf("no %s", network)
	return shop.ReceivingAddress{}
}

// actions are what the audit log says was done, the oldest first.
func (c counter) actions(t *testing.T) []string {
	t.Helper()
	rows, err := c.pool.Query(t.Context(), `SELECT action FROM audit_rows ORDER BY created_at, id`)
	require.NoError(t, err)
	var out []string
	for rows.Next() {
		var action string
		require.NoError(t, rows.Scan(&action))
		out = append(out, action)
	}
	require.NoError(t, rows.Err())
	return out
}

func (c counter) pass(d time.Duration) { c.offset.Add(int64(d)) }

func TestAnAddressIsReadAsPeopleTypeIt(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		payee.Hex(), " " + payee.Hex() + "\n", "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65", "0x15D34AAF54267DB7D7C367839AAF71A00A2C6A65",
		"0X15D34AAF54267DB7D7C367839AAF71A00A2C6A65",
	} {
		got, err := shop.ParseAddress(good)
		require.NoError(t, err, good)
		require.Equal(t, payee, got)
	}
	for _, bad := range []string{
		"", "0x", "15d34aaf54267db7d7c367839aaf71a00a2c6a65", "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A6", "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A655",
		"0x15d34AAf54267DB7D7c367839AAf71A00a2C6a65", "0x0000000000000000000000000000000000000000", "vitalik.eth", "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A6g",
		"0x15d34AAf54267DB7D7c367839AAf71A0 0a2C6A65",
	} {
		_, err := shop.ParseAddress(bad)
		requireField(t, "address", err)
	}
}

func TestTheFirstAddressCountsAtOnceAndAChangeWaitsADay(t *testing.T) {
	t.Parallel()
	c := empty(t)
	c.set(t, c.merchant, payee, true, sepolia)
	link := c.create(t, coffee)
	before, err := c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.Equal(t, payee, common.HexToAddress(before.PayTo))

	c.set(t, c.merchant, another, true, sepolia)
	a := c.at(t, sepolia)
	require.Equal(t, payee, a.Address)
	require.Equal(t, another, a.Next.Address)
	require.WithinDuration(t, c.now().Add(24*time.Hour), a.Next.From, time.Minute)
	c.pass(24*time.Hour - time.Minute)
	still, err := c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.Equal(t, payee, common.HexToAddress(still.PayTo))
	require.NoError(t, c.payees().Sweep(t.Context()))
	require.NotNil(t, c.at(t, sepolia).Next, "nothing is due")

	c.pass(2 * time.Minute)
	switched, err := c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.Equal(t, another, common.HexToAddress(switched.PayTo), "before anything was swept")
	require.Equal(t, another, c.at(t, sepolia).Address)
	require.Nil(t, c.at(t, sepolia).Next)
	require.NoError(t, c.payees().Sweep(t.Context()))
	require.NoError(t, c.payees().Sweep(t.Context()))
	swept, err := c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.Equal(t, another, common.HexToAddress(swept.PayTo))
	require.Equal(t, []string{"payee.set", "link.created", "payee.change_requested", "payee.changed"}, c.actions(t))

	notices, err := c.hooks.Notices(t.Context(), c.merchant, false, true)
	require.NoError(t, err)
	require.Len(t, notices, 2, "one when it was asked, one when it came")
	require.Contains(t, notices[1].Text, "Ada changed the receiving address on Base Sepolia to 0x9965…A4dc.")
	require.Equal(t, "/dashboard/settings/address", notices[1].Link)
}

func TestAChangeIsCancelledInTime(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.set(t, c.merchant, another, true, sepolia)
	change := c.at(t, sepolia).Next.ID
	stranger := c.found(t, "books")
	require.ErrorIs(t, c.payees().CancelChange(t.Context(), stranger, sepolia, change, ada), shop.ErrNotFound)
	require.ErrorIs(t, c.payees().CancelChange(t.Context(), c.merchant, base, change, ada), shop.ErrNotFound)
	require.NoError(t, c.payees().CancelChange(t.Context(), c.merchant, sepolia, change, ada))
	require.ErrorIs(t, c.payees().CancelChange(t.Context(), c.merchant, sepolia, change, ada), shop.ErrNotFound, "only once")
	c.pass(48 * time.Hour)
	require.NoError(t, c.payees().Sweep(t.Context()))
	require.Equal(t, payee, c.at(t, sepolia).Address)

	c.set(t, c.merchant, another, true, sepolia)
	c.set(t, c.merchant, third, true, sepolia)
	require.Equal(t, third, c.at(t, sepolia).Next.Address, "the last wish counts, and its day begins anew")
	late := c.at(t, sepolia).Next.ID
	c.pass(25 * time.Hour)
	require.ErrorIs(t, c.payees().CancelChange(t.Context(), c.merchant, sepolia, late, ada), shop.ErrNotFound, "it counts already")
	require.Equal(t, third, c.at(t, sepolia).Address)
}

func TestWhereMoneyIsRealOnlyAProvenAddressTakesAnothersPlace(t *testing.T) {
	t.Parallel()
	c := empty(t)
	c.set(t, c.merchant, payee, false, base)
	_, err := c.CreateLink(t.Context(), c.merchant, true, coffee, ada)
	require.ErrorIs(t, err, shop.ErrUnproven)
	c.set(t, c.merchant, another, false, base)
	require.Equal(t, another, c.at(t, base).Address, "an address that nobody proved was never paid, and is replaced at once")
	c.set(t, c.merchant, another, true, base)
	require.NotNil(t, c.at(t, base).ProvenAt)
	link, err := c.CreateLink(t.Context(), c.merchant, true, coffee, ada)
	require.NoError(t, err)

	c.set(t, c.merchant, third, false, base)
	c.pass(72 * time.Hour)
	require.NoError(t, c.payees().Sweep(t.Context()))
	offer, err := c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.Equal(t, another, common.HexToAddress(offer.PayTo), "it waits for its proof")
	c.set(t, c.merchant, third, true, base)
	offer, err = c.Offer(t.Context(), link.Token)
	require.NoError(t, err)
	require.Equal(t, third, common.HexToAddress(offer.PayTo), "its day is over, and now it is proven")
	require.NoError(t, c.payees().Sweep(t.Context()))
	require.NotNil(t, c.at(t, base).ProvenAt)
}

func TestAProvenAddressIsOneShopsAlone(t *testing.T) {
	t.Parallel()
	c := open(t)
	books := c.found(t, "books")
	taken := shop.AddressForm{Address: payee, Networks: []string{sepolia}}
	requireField(t, "address", c.payees().SetAddress(t.Context(), books, taken, ada))
	c.set(t, books, payee, false, base) // on another network it is free

	c.set(t, c.merchant, another, true, sepolia)
	taken.Address = another
	requireField(t, "address", c.payees().SetAddress(t.Context(), books, taken, ada))
	require.NoError(t, c.payees().CancelChange(t.Context(), c.merchant, sepolia, c.at(t, sepolia).Next.ID, ada))
	c.set(t, books, another, true, sepolia)
}

func TestWhatLosesMoneyIsNoAddress(t *testing.T) {
	t.Parallel()
	c := empty(t)
	usdc, err := evm.NewRegistry(nil).Network(sepolia)
	require.NoError(t, err)
	for _, lost := range []common.Address{{}, usdc.Token.Address} {
		requireField(t, "address", c.payees().SetAddress(t.Context(), c.merchant, shop.AddressForm{Address: lost, Networks: []string{sepolia}}, ada))
	}
	requireField(t, "networks", c.payees().SetAddress(t.Context(), c.merchant, shop.AddressForm{Address: payee}, ada))
	require.ErrorIs(t, c.payees().SetAddress(t.Context(), c.merchant, shop.AddressForm{Address: payee, Networks: []string{"eip155:1"}}, ada), evm.ErrNetwork)
	require.False(t, c.at(t, sepolia).Given())
	require.Empty(t, c.actions(t))
}

func TestAShopGoesLiveWithAProvenAddressOnALiveNetwork(t *testing.T) {
	t.Parallel()
	c := open(t)
	require.ErrorIs(t, c.payees().GoLive(t.Context(), c.merchant, ada), shop.ErrNotReady, "a test network is none")
	c.set(t, c.merchant, payee, false, base)
	require.ErrorIs(t, c.payees().GoLive(t.Context(), c.merchant, ada), shop.ErrNotReady, "not proven")
	c.set(t, c.merchant, payee, true, base)
	require.NoError(t, c.payees().GoLive(t.Context(), c.merchant, ada))
	require.NoError(t, c.payees().GoLive(t.Context(), c.merchant, ada))
	p, err := c.Profile(t.Context(), c.merchant)
	require.NoError(t, err)
	require.NotNil(t, p.WentLiveAt)
	require.Equal(t, []string{"payee.set", "payee.proven", "shop.went_live"}, c.actions(t))

	without := shop.NewPayees(c.pool, evm.NewRegistry(nil), nil, c.hooks, c.now)
	ready, err := without.MayGoLive(t.Context(), c.merchant)
	require.NoError(t, err)
	require.False(t, ready, "no node of the network is configured")
}

func TestAProfileIsNotOverwrittenUnseen(t *testing.T) {
	t.Parallel()
	c := empty(t)
	require.NoError(t, c.Rename(t.Context(), c.merchant, "The cafe", "  Kaffe Nord ", ada))
	require.ErrorIs(t, c.Rename(t.Context(), c.merchant, "The cafe", "Kaffe Süd", ada), shop.ErrChanged)
	require.NoError(t, c.SetDomain(t.Context(), c.merchant, "cafe.example", "Kaffe-Nord.Example", ada))
	require.NoError(t, c.SetDomain(t.Context(), c.merchant, "kaffe-nord.example", "", ada))
	require.NoError(t, c.SetSlug(t.Context(), c.merchant, "cafe", "kaffe-nord", ada))
	c.found(t, "books")
	requireField(t, "slug", c.SetSlug(t.Context(), c.merchant, "kaffe-nord", "books", ada))
	for _, bad := range []string{"", "-a", "a-", "ä", "a b", "a/b", ".."} {
		requireField(t, "slug", c.SetSlug(t.Context(), c.merchant, "kaffe-nord", bad, ada))
	}
	for _, bad := range []string{"https://a.example", "a", "a..b", "a.example/x", "a b.example", "-a.example", "1.2.3.4", "a.example."} {
		requireField(t, "domain", c.SetDomain(t.Context(), c.merchant, "", bad, ada))
	}
	for _, bad := range []string{"", " ", "a\nb", "a\u202eb"} {
		requireField(t, "name", c.Rename(t.Context(), c.merchant, "Kaffe Nord", bad, ada))
	}
	p, err := c.Profile(t.Context(), c.merchant)
	require.NoError(t, err)
	require.Equal(t, shop.Profile{Name: "Kaffe Nord", Slug: "kaffe-nord", ConfirmLimit: 1_000_000_000}, p)
	require.Equal(t, []string{"shop.name_changed", "shop.domain_changed", "shop.domain_changed", "shop.slug_changed"}, c.actions(t))
}

package checkout_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
)

// vector is one cart, its canonical form and the nonce that a wallet signs for it; the hashes were computed
// with another implementation of keccak256. Whoever checks a receipt without us must come to the same bytes.
var vector = checkout.Cart{
	Seller: "sel_1ChHQgZvF7Y4JLiQa34ooR",
	Lines: []checkout.Line{
		{ItemID: "itm_1ChHQgZvF7Y4JLiQa34ooS", Title: "Crème brûlée \"grand\" \u2028 €5 🍮", Qty: 2, UnitAmount: 4_500_000},
		{ItemID: "", Title: "Tip", Qty: 1, UnitAmount: 250_000},
		{ItemID: "", Title: "Discount <10 %> & more", Qty: 1, UnitAmount: -1_000_001},
	},
	Network: sepolia,
	Asset:   common.HexToAddress("0x036CbD53842c5426634e7929541eC2318f3dCF7e"),
	PayTo:   common.HexToAddress("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
	Amount:  8_249_999,
}

const (
	vectorJSON = `{"amount":"8249999","asset":"0x036cbd53842c5426634e7929541ec2318f3dcf7e","currency":"USDC","lines":[` +
		`{"item_id":"itm_1ChHQgZvF7Y4JLiQa34ooS","qty":2,"title":"Crème brûlée \"grand\" ` + "\u2028" + ` €5 🍮","unit_amount":"4500000"},` +
		`{"item_id":"","qty":1,"title":"Tip","unit_amount":"250000"},` +
		`{"item_id":"","qty":1,"title":"Discount <10 %> & more","unit_amount":"-1000001"}],` +
		`"network":"eip155:84532","pay_to":"0x15d34aaf54267db7d7c367839aaf71a00a2c6a65","seller_id":"sel_1ChHQgZvF7Y4JLiQa34ooR","v":1}`
	vectorSalt  = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	vectorHash  = "0xef146ee6d52b603723d30e9ae513ca69d3aeb70a530a7b8c0a18f4f719a20afb"
	vectorNonce = "0xd9bdba15500b1fa423a01eb12c48faa06fab3636085333f19c063d26a203e5d1"
)

func TestCartVector(t *testing.T) {
	t.Parallel()
	text, err := vector.JSON()
	require.NoError(t, err)
	require.Equal(t, vectorJSON, string(text)) //nolint:testifylint // canonical: to the byte
	hash, err := vector.Hash()
	require.NoError(t, err)
	require.Equal(t, vectorHash, hash.Hex())
	require.Equal(t, vectorNonce, checkout.Nonce([32]byte(hexutil.MustDecode(vectorSalt)), hash).Hex())
}

func TestEveryPartOfACartIsInItsHash(t *testing.T) {
	t.Parallel()
	before, err := vector.Hash()
	require.NoError(t, err)
	for name, change := range map[string]func(*checkout.Cart){
		"seller":     func(c *checkout.Cart) { c.Seller = "sel_1ChHQgZvF7Y4JLiQa34ooT" },
		"network":    func(c *checkout.Cart) { c.Network = "eip155:8453" },
		"asset":      func(c *checkout.Cart) { c.Asset[19]++ },
		"payee":      func(c *checkout.Cart) { c.PayTo[0]++ },
		"amount":     func(c *checkout.Cart) { c.Amount++ },
		"item":       func(c *checkout.Cart) { c.Lines[0].ItemID = "" },
		"title":      func(c *checkout.Cart) { c.Lines[0].Title += " " },
		"quantity":   func(c *checkout.Cart) { c.Lines[0].Qty++ },
		"unit price": func(c *checkout.Cart) { c.Lines[0].UnitAmount++ },
		"order":      func(c *checkout.Cart) { c.Lines[1], c.Lines[2] = c.Lines[2], c.Lines[1] },
		"line":       func(c *checkout.Cart) { c.Lines = c.Lines[:2] },
	} {
		changed := vector
		changed.Lines = append([]checkout.Line(nil), vector.Lines...)
		change(&changed)
		hash, err := changed.Hash()
		require.NoError(t, err)
		require.NotEqual(t, before, hash, name)
	}
}

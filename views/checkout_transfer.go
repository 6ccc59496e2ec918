package views

import (
	"strconv"
	"strings"
	"time"

	"xsynesis/money"
)

// TransferView is how a purchase is paid by a transfer of the buyer's own, without a signature for the shop.
type TransferView struct {
	Offered bool       // whether the buyer may ask for it
	Crowded bool       // he has, and every amount is taken
	Key     string     // the buyer's token, if the reader has it
	Amount  money.USDC // exactly so much names the purchase; 0 until somebody asked
	Token   string     // the contract of the token
	Code    QR         // the same as a code for wallets
	Call    any        // what a wallet in the browser sends, as JSON
	Until   time.Time  // how long the price is held
	Kept    time.Time  // how long the amount names the purchase
	Told    []string   // transactions that the buyer says are his and that nobody has seen
	Hash    Field      // one that was refused, as it was typed
	Came    []CameView
}

// CameView is money that came for a purchase and does not pay it.
type CameView struct {
	Amount      money.USDC
	Missing     money.USDC // negative where it is too much
	Named       bool       // nothing but the buyer says that it is for this purchase
	Claim       string     // what its sender signs to pay with it; empty where it would not pay
	Transaction string
	Decision    string // of the shop, in its own word; empty while there is none
}

// open tells whether the buyer has asked for the amount.
func (t TransferView) open() bool { return t.Amount > 0 }

// awaited tells whether a transfer may still pay the purchase of a page.
func (v PurchaseView) awaited() bool {
	return v.Transfer.open() && (v.Status == "expired" || v.Status == "cancelled") && v.Now.Before(v.Transfer.Kept)
}

// state changes whenever the page has something else to say of the transfer.
func (t TransferView) state() string {
	parts := []string{strconv.FormatBool(t.open()), strconv.Itoa(len(t.Told))}
	for _, c := range t.Came {
		parts = append(parts, c.Transaction+c.Decision+strconv.FormatBool(c.Named))
	}
	return strings.Join(parts, " ")
}

// exact writes an amount with every digit that it has, as it is typed into a wallet.
func exact(a money.USDC) string { return a.String() }

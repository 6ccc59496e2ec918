package x402

import (
	"encoding/base64"

	"github.com/ethereum/go-ethereum/common"
)

// Receipt tells a buyer what became of a payment.
type Receipt struct {
	Success     bool
	Transaction string // the hash; "" if nothing was sent
	Token       Token
	Payer       common.Address // left out if zero
	ErrorReason string         // of [Invalid.Reason]; left out if empty
}

// ReceiptJSON is a receipt on the wire, the same in both versions but for the network's name.
type ReceiptJSON struct {
	Success     bool   `json:"success"`
	ErrorReason string `json:"errorReason,omitempty"`
	Transaction string `json:"transaction"`
	Network     string `json:"network"`
	Payer       string `json:"payer,omitempty"`
}

// JSON is the receipt as the given version writes it.
func (r Receipt) JSON(version int) ReceiptJSON {
	wire := ReceiptJSON{
		Success:     r.Success,
		ErrorReason: r.ErrorReason,
		Transaction: r.Transaction,
		Network:     r.Token.NetworkName(version),
	}
	if r.Payer != (common.Address{}) {
		wire.Payer = r.Payer.Hex()
	}
	return wire
}

// Header is the receipt as a response header of the given version.
func (r Receipt) Header(version int) (name, value string) {
	name = HeaderResponse
	if version == 1 {
		name = HeaderResponseV1
	}
	return name, base64.StdEncoding.EncodeToString(encode(r.JSON(version)))
}

package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/views"
)

// transfer tells a buyer how to send the money himself, or notes the transaction that he says is his. With a signature of
// the wallet that sent it, it is his.
func (h *Handlers) transfer(c echo.Context) error {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	typed, signature := strings.TrimSpace(c.FormValue("hash")), strings.TrimSpace(c.FormValue("signature"))
	switch {
	case signature != "":
		err = h.claimTransfer(c, attempt, typed, signature)
	case typed != "":
		err = h.tellTransfer(c, attempt, typed)
	default:
		_, err = h.Checkout.OpenManual(c.Request().Context(), attempt)
	}
	switch {
	case errors.Is(err, errNoTransaction) && wantsPage(c.Request()):
		return h.transferRefused(c, attempt, http.StatusUnprocessableEntity, refusedFields{
			hash: views.Field{Value: typed, Problem: "That is no transaction's number. It begins with 0x and has 64 more characters."},
		})
	case errors.Is(err, checkout.ErrCrowded) && wantsPage(c.Request()):
		askForPatience(c, http.StatusServiceUnavailable)
		return h.transferRefused(c, attempt, http.StatusServiceUnavailable, refusedFields{crowded: true})
	case err == nil, errors.Is(err, checkout.ErrNotOpen): // its page says what it is by now
		return c.Redirect(http.StatusSeeOther, views.PurchasePath(string(attempt), c.QueryParam("k"))+"#transfer")
	}
	return err
}

// transferPage is asked for again where a refused form stands in its place: what it is about is the purchase's page.
func (h *Handlers) transferPage(c echo.Context) error {
	attempt, err := id.Parse[id.Attempt](c.Param("attempt"))
	if err != nil {
		return checkout.ErrNotFound
	}
	return c.Redirect(http.StatusSeeOther, views.PurchasePath(string(attempt), c.QueryParam("k")))
}

// errNoTransaction is what a buyer gets who types something else than the number of a transaction.
var errNoTransaction = errors.New("handlers: no transaction")

// transactionText finds the number in what is typed: explorers' addresses hold it, too.
var transactionText = regexp.MustCompile(`(?i)0x[0-9a-f]{64}(?:[^0-9a-f]|$)`)

func transactionOf(typed string) (common.Hash, error) {
	found := transactionText.FindString(typed)
	if found == "" {
		return common.Hash{}, errNoTransaction
	}
	return common.HexToHash(found[:2+2*common.HashLength]), nil
}

func (h *Handlers) tellTransfer(c echo.Context, attempt id.Attempt, typed string) error {
	transaction, err := transactionOf(typed)
	if err != nil {
		return err
	}
	return h.Checkout.Tell(c.Request().Context(), attempt, transaction)
}

func (h *Handlers) claimTransfer(c echo.Context, attempt id.Attempt, typed, signature string) error {
	transaction, err := transactionOf(typed)
	if err != nil {
		return err
	}
	signed, err := hexutil.Decode(signature)
	if err != nil {
		return checkout.ErrNotSender
	}
	return h.Checkout.Claim(c.Request().Context(), attempt, transaction, signed)
}

func (h *Handlers) transferRefused(c echo.Context, attempt id.Attempt, status int, refused refusedFields) error {
	p, err := h.Checkout.Purchase(c.Request().Context(), attempt)
	if err != nil {
		return err
	}
	return h.purchasePageOf(c, status, p, c.QueryParam("k"), refused)
}

// viewTransfer adds how a purchase may be paid by a transfer of the buyer's own, and what came instead.
func (h *Handlers) viewTransfer(c echo.Context, v *views.PurchaseView, p checkout.Purchase, k string) error {
	if p.Status != checkout.Open && p.Status != checkout.Expired && p.Status != checkout.Cancelled {
		return nil
	}
	v.Transfer.Key = k
	m, err := h.Checkout.ManualOf(c.Request().Context(), p.ID)
	if errors.Is(err, checkout.ErrNotFound) {
		v.Transfer.Offered, err = h.Checkout.MayTransfer(c.Request().Context(), p.Attempt)
		return err
	}
	if err != nil {
		return err
	}
	token := p.Network.Token
	v.Transfer.Amount, v.Transfer.Token, v.Transfer.Until, v.Transfer.Kept = m.Amount, token.Address.Hex(), p.ExpiresAt, m.KeptUntil
	v.Transfer.Call = map[string]any{
		"chainId": token.ChainID, "to": token.Address.Hex(), "data": hexutil.Encode(evm.SendData(p.PayTo, m.Amount)),
	}
	for _, told := range m.Told {
		v.Transfer.Told = append(v.Transfer.Told, told.Hex())
	}
	for _, came := range m.Came {
		shown := views.CameView{
			Amount: came.Amount, Missing: m.Amount - came.Amount, Named: came.Named, Transaction: came.Transaction, Decision: came.Decision,
		}
		if came.Decision == "" && came.Amount >= p.Amount {
			shown.Claim = h.Checkout.ClaimText(p.Attempt, common.HexToHash(came.Transaction))
		}
		v.Transfer.Came = append(v.Transfer.Came, shown)
	}
	v.Transfer.Code, err = views.NewQR(transferURI(p, m.Amount))
	return err
}

// transferURI names a transfer as wallets' scanners read it (EIP-681). What comes first is the token, and not who is paid.
func transferURI(p checkout.Purchase, amount money.USDC) string {
	token := p.Network.Token
	return fmt.Sprintf("ethereum:%s@%d/transfer?address=%s&uint256=%s", token.Address.Hex(), token.ChainID, p.PayTo.Hex(), amount.Units())
}

package handlers

import (
	"encoding/csv"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) balanceRoutes(e *echo.Echo) {
	e.GET(views.BalancePath, h.may(access.SeeMoney, h.showBalance))
	e.GET(views.CustodyPath, h.may(access.SeeMoney, h.showCustody))
	e.POST(views.CustodyPath, h.may(access.ChangePayee, h.stepUp(h.setCustody)))
	e.GET(views.LedgerPath, h.may(access.SeeMoney, h.entries))
	e.GET(views.LedgerCSVPath, h.may(access.SeeMoney, h.journalCSV))
	h.payoutRoutes(e)
}

func (h *Handlers) showBalance(c echo.Context, s seller) error {
	all, err := h.Custody.Holdings(c.Request().Context(), s.Merchant, s.livemode)
	if err != nil {
		return err
	}
	v := views.BalanceView{DashboardView: h.frame(c, s, "Balance", views.SectionBalance, true)}
	for _, one := range all {
		v.Rows = append(v.Rows, balanceRow(one))
		v.MayPayOut = v.MayPayOut || one.Available > 0 && s.May(access.PayOut)
	}
	return h.livePage(c, views.Balance(v))
}

func balanceRow(one ledger.Holding) views.BalanceRow {
	r := views.BalanceRow{
		ID: one.Network.ID, Name: one.Network.Name, Collects: one.Collects, Kept: one.Deposit != common.Address{}, Available: one.Available,
		Pending: one.Pending, InPayout: one.InPayout, InRefund: one.InRefund, Open: one.Open, Fees: one.Fees, Deposited: one.Deposited,
		Received: one.Received, Drift: one.Drift,
	}
	at := one.Own
	if one.Collects {
		at = one.Deposit
	}
	if (at != common.Address{}) {
		r.Address = at.Hex()
		if one.Network.Explorer != "" {
			r.Explorer = one.Network.Explorer + "/address/" + at.Hex()
		}
	}
	if one.OnChain != nil {
		r.OnChain, r.Block = one.OnChain.Amount, one.OnChain.Block
	}
	return r
}

func (h *Handlers) showCustody(c echo.Context, s seller) error {
	return h.custodyPage(c, s, http.StatusOK, "")
}

func (h *Handlers) custodyPage(c echo.Context, s seller, status int, problem string) error {
	modes, err := h.Custody.Modes(c.Request().Context(), s.Merchant, s.livemode)
	if err != nil {
		return err
	}
	v := views.CustodyView{
		DashboardView: h.frame(c, s, "Who keeps the money", views.SectionBalance, false), MayChange: s.May(access.ChangePayee), Problem: problem,
	}
	for _, m := range modes {
		r := views.CustodyRow{ID: m.Network.ID, Name: m.Network.Name, Collects: m.Collects, Own: m.Own.Hex()}
		if (m.Deposit != common.Address{}) {
			r.Deposit = m.Deposit.Hex()
		}
		v.Rows = append(v.Rows, r)
	}
	return h.Page(c, status, views.Custody(v))
}

func (h *Handlers) setCustody(c echo.Context, s seller) error {
	err := h.Custody.SetMode(c.Request().Context(), s.Merchant, c.FormValue("network"), c.FormValue("collects") == "true", actor(c, s))
	var wrong *ledger.FieldError
	if errors.As(err, &wrong) || errors.Is(err, ledger.ErrNoDeposit) {
		r, _ := replyTo(err)
		return h.custodyPage(c, s, http.StatusUnprocessableEntity, r.message)
	}
	if err != nil {
		return err
	}
	h.Hub.Changed("", s.Merchant)
	return c.Redirect(http.StatusSeeOther, views.CustodyPath)
}

// entries are what moved one account: every number of the balance leads here.
func (h *Handlers) entries(c echo.Context, s seller) error {
	account, word := c.QueryParam("account"), views.AccountWord(c.QueryParam("account"))
	n, err := h.Networks.Network(c.QueryParam("network"))
	if err != nil || word == "" || n.Test == s.livemode {
		return shop.ErrNotFound
	}
	page := ledger.Page{Before: c.QueryParam("before"), After: c.QueryParam("after"), Limit: pageSize}
	rows, err := h.Custody.Entries(c.Request().Context(), s.Merchant, n, ledger.Account(account), page)
	if err != nil {
		return err
	}
	rows, more := trim(rows, page.After != "")
	v := views.LedgerView{DashboardView: h.frame(c, s, word, views.SectionBalance, false), Account: account, Network: n.Name}
	sign := owedSign(ledger.Account(account))
	for _, e := range rows {
		r := views.LedgerRow{
			Time: e.CreatedAt.UTC(), What: kindWords(e.Kind), Source: e.Source, Transaction: e.Transaction,
			TransactionURL: transactionURL(n.Explorer, e.Transaction, false), Amount: sign * e.Amount,
		}
		if e.Asset == ledger.Coin {
			r.Text = coin(int64(e.Amount))
		}
		v.Rows = append(v.Rows, r)
	}
	if len(rows) > 0 {
		v.Pages = pager(c, more, string(rows[0].Posting), string(rows[len(rows)-1].Posting), len(rows))
	}
	return h.Page(c, http.StatusOK, views.Ledger(v))
}

// owedSign turns the entries of what is owed, which are negative in the books, the way the balance shows them.
func owedSign(a ledger.Account) money.USDC {
	switch a {
	case ledger.Available, ledger.Fees, ledger.Payouts, ledger.Refunds, ledger.Exceptions:
		return -1
	case ledger.Wallet, ledger.Sales, ledger.Deposit, ledger.Gas, ledger.Relayer, ledger.SimulatedWallet, ledger.SimulatedSales:
	}
	return 1
}

// kindWords are what people call what was posted.
func kindWords(k ledger.Kind) string {
	words := map[ledger.Kind]string{
		ledger.Sale: "Sale", ledger.SimulatedSale: "Simulated sale", ledger.GasPaid: "Network fee", ledger.Reversal: "Taken back by the network",
		ledger.PayoutCreated: "Payout begun", ledger.PayoutCompleted: "Payout arrived", ledger.PayoutFailed: "Payout came back",
		ledger.RefundCreated: "Refund begun", ledger.RefundCompleted: "Refund arrived", ledger.RefundFailed: "Refund came back",
		ledger.Exceptional: "Came without an explanation", ledger.ExceptionResolved: "Explained",
	}
	return words[k]
}

// coin writes wei as people read them.
func coin(wei int64) string {
	return strings.TrimRight(strings.TrimRight(new(big.Rat).SetFrac64(wei, 1e18).FloatString(18), "0"), ".") + " ETH"
}

// journalColumns keeps its order: programs read these columns by place.
var journalColumns = []string{"posting_id", "line", "created_at", "kind", "source", "account", "network", "asset", "amount", "transaction"}

// journalCSV sends every entry of the shop's books as a table (RFC 4180), in the order in which they were written.
func (h *Handlers) journalCSV(c echo.Context, s seller) error {
	w := c.Response()
	table := csv.NewWriter(w)
	table.UseCRLF = true
	patience := http.NewResponseController(w.Writer)
	header := w.Header()
	header.Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	header.Set(echo.HeaderContentDisposition, `attachment; filename="journal-`+h.Now().UTC().Format(time.DateOnly)+`.csv"`)
	w.WriteHeader(http.StatusOK)
	err := table.Write(journalColumns)
	if err == nil {
		err = h.Custody.Journal(c.Request().Context(), s.Merchant, s.livemode, func(page []ledger.JournalEntry) error {
			if err := patience.SetWriteDeadline(time.Now().Add(readTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return err
			}
			for _, e := range page {
				if err := table.Write(journalRecord(e)); err != nil {
					return err
				}
			}
			table.Flush()
			return table.Error()
		})
	}
	table.Flush()
	if err = errors.Join(err, table.Error()); err != nil {
		// A table that ends early must not look like a whole one: the connection is cut.
		slog.WarnContext(c.Request().Context(), "export broke off", "request_id", requestID(c), "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

func journalRecord(e ledger.JournalEntry) []string {
	return []string{
		string(e.Posting), strconv.Itoa(e.Line), e.CreatedAt.UTC().Format(time.RFC3339), string(e.Kind), inert(e.Source), string(e.Account),
		inert(e.Network), inert(e.Asset), e.Amount.Units(), inert(e.Transaction),
	}
}

// payoutID is the payout of a page's address.
func payoutID(c echo.Context) (id.Payout, error) {
	payout, err := id.Parse[id.Payout](c.Param("payout"))
	if err != nil {
		return "", shop.ErrNotFound
	}
	return payout, nil
}

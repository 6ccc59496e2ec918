package handlers

import (
	"encoding/csv"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"xsynesis/checkout"
	"xsynesis/id"
)

const (
	headerRows  = "X-Row-Count"
	headerTotal = "X-Control-Total"
)

// saleColumns keeps its order: programs read these columns by place. New ones come last.
var saleColumns = []string{
	"id", "item_id", "item_title", "reservation_id", "payment_attempt_id", "settlement_id", "qty", "amount_cents", "currency",
	"purchaser_address", "created_at", "amount", "network", "transaction", "channel", "reference", "late", "simulated",
	"link_id", "net", "fee", "refunded", "refund_ids", "gas_wei", "block_number", "block_time", "log_index", "reversed",
}

const (
	// flushEvery is how many rows are sent together.
	flushEvery = 500
	// readTime is how long a reader may take for them: an export holds a snapshot open.
	readTime = 30 * time.Second
)

// writeCSV sends all sales of a filter as a table (RFC 4180), with its control figures in front, in the header.
func (h *Handlers) writeCSV(c echo.Context, merchant id.Merchant, livemode bool, f checkout.Filter) error {
	w := c.Response()
	table := csv.NewWriter(w)
	table.UseCRLF = true
	patience := http.NewResponseController(w.Writer)
	extend := func() error {
		if err := patience.SetWriteDeadline(time.Now().Add(readTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		return nil
	}
	begin := func(control checkout.Control) error {
		header := w.Header()
		header.Set(headerRows, strconv.FormatInt(control.Rows, 10))
		header.Set(headerTotal, control.Amount.Units())
		header.Set(echo.HeaderContentType, "text/csv; charset=utf-8")
		header.Set(echo.HeaderContentDisposition, `attachment; filename="sales-`+h.Now().UTC().Format(time.DateOnly)+`.csv"`)
		if err := extend(); err != nil {
			return err
		}
		w.WriteHeader(http.StatusOK)
		return table.Write(saleColumns)
	}
	rows := 0
	row := func(s checkout.SettledLine) error {
		if rows++; rows%flushEvery == 0 {
			table.Flush()
			if err := errors.Join(table.Error(), extend()); err != nil {
				return err
			}
		}
		return table.Write(saleRecord(s))
	}
	err := h.Checkout.Export(c.Request().Context(), merchant, livemode, f, begin, row)
	table.Flush()
	if err = errors.Join(err, table.Error()); err != nil && w.Committed {
		// A table that ends early must not look like a whole one: the connection is cut.
		slog.WarnContext(c.Request().Context(), "export broke off", "request_id", requestID(c), "error", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

func saleRecord(s checkout.SettledLine) []string {
	return append([]string{
		inert(string(s.ID)), inert(s.ItemID), inert(s.ItemTitle), inert(s.ReservationID), inert(string(s.AttemptID)), inert(stringOr(s.SettlementID)),
		strconv.Itoa(int(s.Qty)), strconv.FormatInt(s.Amount.Cents(), 10), inert(s.Currency), inert(s.PurchaserAddress),
		s.CreatedAt.UTC().Format(time.RFC3339), s.Amount.Units(), inert(s.Network), inert(s.Transaction), inert(s.Channel),
		inert(s.Reference), strconv.FormatBool(s.Late), strconv.FormatBool(s.Simulated),
	}, accountRecord(s)...)
}

// accountRecord is what an accountant asks of a line, in base units. Sums over all lines are right: what belongs to a whole
// payment stands with its first line.
func accountRecord(s checkout.SettledLine) []string {
	block, at, index := "", "", ""
	if s.Block > 0 {
		block, index = strconv.FormatInt(s.Block, 10), strconv.Itoa(int(s.LogIndex))
	}
	if !s.BlockTime.IsZero() {
		at = s.BlockTime.UTC().Format(time.RFC3339)
	}
	return []string{
		inert(stringOr(s.LinkID)), (s.Amount - s.Fee).Units(), s.Fee.Units(), s.Refunded.Units(), inert(strings.Join(s.Refunds, " ")),
		strconv.FormatInt(s.Gas, 10), block, at, index, strconv.FormatBool(s.Reversed),
	}
}

// stringOr is an id, or nothing where there is none.
func stringOr[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}

// inert keeps a spreadsheet from running a text as a formula. Some take the wide forms of these signs for the signs themselves.
func inert(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}

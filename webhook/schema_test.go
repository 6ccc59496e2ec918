package webhook_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"xsynesis/id"
	"xsynesis/money"
	"xsynesis/webhook"
)

func TestEveryTypeHasASchemaAndEverySchemaAType(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	require.NoError(t, err)
	var declared []webhook.Type
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Type" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			declared = append(declared, webhook.Type(value))
		}
		return true
	})
	require.ElementsMatch(t, webhook.Types, declared)
	for _, typ := range webhook.Types {
		require.True(t, typ.Known())
		require.NotEmpty(t, typ.Title())
		require.NotEmpty(t, typ.Summary())
		require.NotEmpty(t, typ.Group())
	}
	require.False(t, webhook.Type("envelope").Known())
}

// payloads are what the business fills in, with every field set.
func payloads() map[webhook.Type]any {
	var (
		amounts     = webhook.NewAmounts(money.One/10+9, "USDC")
		link        = id.Link("lnk_1")
		attempt     = id.Attempt("pa_1")
		lines       = []webhook.LinePayload{{SaleID: "sal_1", ItemID: "lnk_1", ItemTitle: "Flat white", Qty: 1, UnitAmount: "-5"}}
		unpaid      = []webhook.LinePayload{{ItemID: "lnk_1", ItemTitle: "Flat white", Qty: 1, UnitAmount: "5"}}
		metadata    = json.RawMessage(`{"table": "7 <&>"}`)
		facilitator = webhook.FacilitatorResponse{Facilitator: "own", Transaction: "0x1", Network: "eip155:84532", Success: true}
	)
	payment := func(status string) webhook.PaymentPayload {
		return webhook.PaymentPayload{
			PaymentAttemptID: attempt, Amounts: amounts, PurchaserAddress: "0x2", Status: status, SaleID: "sal_1", ItemID: "lnk_1", ItemTitle: "Flat white",
			Qty: 1, Lines: lines, LinkID: &link, Reference: "till-1", Metadata: metadata, Transaction: "0x1", Network: "eip155:84532", Simulated: true,
		}
	}
	settlement := func(status, problem string, success bool) webhook.SettlementPayload {
		f := facilitator
		f.Success = success
		return webhook.SettlementPayload{
			SettlementID: "stl_1", PaymentAttemptID: &attempt, Amounts: amounts, Status: status, Error: problem,
			FacilitatorResponse: f, Transaction: "0x1", Network: "eip155:84532", Simulated: true,
		}
	}
	reservation := func(status string) webhook.ReservationPayload {
		return webhook.ReservationPayload{ReservationID: "res_1", PaymentAttemptID: attempt, ItemID: "itm_1", Qty: 2, Status: status}
	}
	refund := func(status, tx, problem string) webhook.RefundPayload {
		return webhook.RefundPayload{
			RefundID: "rfd_1", PaymentAttemptID: &attempt, Amounts: webhook.NewAmounts(4_500_000, "USDC"), DestinationWallet: "0x2", Status: status, Reason: "Cold",
			Lines: []webhook.RefundLinePayload{{SaleID: "sal_1", Qty: 1, Amount: "4500000"}}, Transaction: tx, Network: "eip155:84532", Error: problem,
		}
	}
	payout := func(status, tx, why string) webhook.PayoutPayload {
		return webhook.PayoutPayload{
			PayoutID: "pay_1", Amounts: webhook.NewAmounts(4_500_000, "USDC"), DestinationWallet: "0x" + strings.Repeat("2", 40), Status: status, Network: "eip155:84532",
			Transaction: tx, Reason: why,
		}
	}
	return map[webhook.Type]any{
		webhook.RefundCreated:   refund("requested", "", ""),
		webhook.RefundCompleted: refund("completed", "0x1", ""),
		webhook.RefundFailed:    refund("failed", "", "Called off."),
		webhook.PaymentAttemptCreated: webhook.AttemptPayload{
			PaymentAttemptID: attempt, Amounts: amounts, Status: "open", ItemID: "lnk_1", ItemTitle: "Flat white", Qty: 1, Lines: unpaid, LinkID: &link,
			Reference: "till-1", Metadata: metadata, Network: "eip155:84532", Simulated: true,
		},
		webhook.PaymentCompleted: payment("completed"),
		webhook.PaymentLate:      payment("late"),
		webhook.PaymentFailed: webhook.PaymentFailedPayload{
			PaymentAttemptID: attempt, Amounts: amounts, PurchaserAddress: "0x2", Status: "failed", Reason: "authorization_expired",
			ItemID: "lnk_1", ItemTitle: "Flat white", Qty: 1, Lines: unpaid, LinkID: &link, Reference: "till-1", Metadata: metadata, Network: "eip155:84532", Simulated: true,
		},
		webhook.SettlementConfirmed: settlement("confirmed", "", true),
		webhook.SettlementFinal:     settlement("final", "", true),
		webhook.SettlementFailed:    settlement("failed", "authorization_expired", false),
		webhook.SettlementReversed:  settlement("reversed", "No block holds it any more.", false),
		webhook.PayoutCreated:       payout("queued", "", ""),
		webhook.PayoutSent:          payout("sent", "0x1", ""),
		webhook.PayoutCompleted:     payout("completed", "0x1", ""),
		webhook.PayoutFailed:        payout("failed", "", "It can never be mined."),
		webhook.LinkExpired: webhook.LinkPayload{
			LinkID: link, Token: "token", Title: "Flat white", Amounts: amounts, Status: "expired", Reference: "till-1", Metadata: metadata, Network: "eip155:84532",
		},
		webhook.ReservationCreated:  reservation("held"),
		webhook.ReservationClaimed:  reservation("claimed"),
		webhook.ReservationReleased: reservation("released"),
		webhook.ItemLowStock:        webhook.StockPayload{ItemID: "itm_1", ItemTitle: "Coffee beans", Free: 2},
		webhook.NoticeCreated:       webhook.NoticePayload{NoticeID: "ntc_1", Kind: "webhook_disabled", Text: "Off.", URL: "https://pay.example/dashboard"},
		webhook.WebhookTest:         webhook.TestPayload{SubscriptionID: "ws_1", Message: "A test."},
	}
}

func TestWhatIsPublishedIsWhatTheSchemasSay(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var events []webhook.Event
	for _, typ := range webhook.Types {
		filled, ok := payloads()[typ]
		require.True(t, ok, "%s has no payload", typ)
		asExample, asFilled := s.event(typ, string(typ)+"/example"), s.event(typ, string(typ)+"/filled")
		asFilled.Payload = filled
		events = append(events, asExample, asFilled)
	}
	s.publish(t, events...)
	for _, e := range s.feed(t, len(events)) {
		schema := compiled(t, e.Type)
		require.NoError(t, schema.Validate(parsed(t, e.raw)), "%s", e.raw)
		require.Empty(t, unknown(t, e), "the schema of %s does not tell of them", e.Type)

		wrong := parsed(t, e.raw).(map[string]any)
		wrong["event_type"] = "payment.imagined"
		require.Error(t, schema.Validate(wrong), "another event passes")
		wrong = parsed(t, e.raw).(map[string]any)
		delete(wrong["payload"].(map[string]any), firstRequired(t, e.Type))
		require.Error(t, schema.Validate(wrong), "a payload that lacks a field passes")
	}
}

func compiled(t *testing.T, typ webhook.Type) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	name := string(typ) + ".json"
	require.NoError(t, c.AddResource(name, parsed(t, typ.Schema())))
	schema, err := c.Compile(name)
	require.NoError(t, err)
	return schema
}

func parsed(t *testing.T, b []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	require.NoError(t, err)
	return v
}

// described is what a schema says of a payload.
type described struct {
	Properties struct {
		Payload struct {
			Required   []string                   `json:"required"`
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"payload"`
	} `json:"properties"`
}

func describe(t *testing.T, typ webhook.Type) described {
	t.Helper()
	var d described
	require.NoError(t, json.Unmarshal(typ.Schema(), &d))
	return d
}

func firstRequired(t *testing.T, typ webhook.Type) string {
	t.Helper()
	return describe(t, typ).Properties.Payload.Required[0]
}

// unknown lists the fields of a payload that its schema does not know.
func unknown(t *testing.T, e sent) (fields []string) {
	t.Helper()
	var payload map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(e.Payload, &payload))
	known := describe(t, e.Type).Properties.Payload.Properties
	for field := range payload {
		if _, ok := known[field]; !ok {
			fields = append(fields, field)
		}
	}
	return fields
}

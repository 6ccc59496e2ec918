package views

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func exampleReference() ReferenceView {
	return ReferenceView{
		Server: "https://pay.example",
		About:  []ReferenceText{{"Money and time", []string{"`amount` is a string of base units: `\"12500000\"` is 12.50 USDC."}}},
		Sections: []ReferenceSection{{"Payment links", []ReferenceCall{{
			ID: "post_payment_links_create", Method: "POST", Path: "/api/payment_links/create", Summary: "Put something on sale.",
			Access:     "With a shop's key that has the scope `links:write`.",
			Parameters: []ReferenceField{{Name: "limit", Kind: "string", Meaning: "1 to 100."}},
			Body: []ReferenceField{
				{Name: "title", Kind: "string", Required: true, Meaning: "What is sold."}, {Name: "lines", Kind: "list of Line", Object: "Line"},
			},
			Answers: []ReferenceAnswer{
				{Status: "201", Meaning: "Created", Kinds: []ReferenceKind{{"page of Link", "Link"}, {Text: "text/csv"}}, Headers: []ReferenceField{{Name: "X-Row-Count", Meaning: "How many."}}},
				{Status: "400, 401", Kinds: []ReferenceKind{{"Error", "Error"}}},
			},
		}}}},
		Events: []ReferenceEvent{{
			Type: "payment.completed", Title: "A purchase is paid", Summary: "Deliver what was bought.",
			Payload: []ReferenceField{{Name: "currency", Kind: "`USDC`, `SIM`", Required: true, Meaning: "The currency."}}, Example: "{\n  \"currency\": \"USDC\"\n}",
		}},
		Objects: []ReferenceObject{
			{Name: "Error", Fields: []ReferenceField{{Name: "code", Kind: "string", Meaning: "For <programs>."}}},
			{Name: "Line"}, {Name: "Link", Summary: "What is offered."},
		},
		Errors: []ReferenceError{{404, "not_found", "There is nothing at this address."}},
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	golden(t, "reference", Reference(exampleReference()))
}

func TestPieces(t *testing.T) {
	t.Parallel()
	require.Equal(t, []piece{{"Send ", false}, {"key", true}, {" back.", false}}, pieces("Send `key` back."))
	require.Equal(t, []piece{{"x", true}}, pieces("`x`"))
	require.Empty(t, pieces(""))
}

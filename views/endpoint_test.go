package views

import (
	"testing"
	"time"

	"github.com/a-h/templ"

	"xsynesis/access"
)

func endpointExample(t *testing.T) EndpointView {
	t.Helper()
	return EndpointView{
		DashboardView: shell("Weather", SectionEndpoints),
		EndpointRow: EndpointRow{
			Endpoint: "end_3vQB7u9dXkZpR2mNcTfWyA", Title: "Weather", URL: "https://api.kaffenord.example/weather", Price: usdc(t, "0.05"), Pricing: "subscription", Interval: "month",
		},
		CallURL: "https://pay.example/x/end_3vQB7u9dXkZpR2mNcTfWyA", Description: "Of any city.\nFor three days.", MimeType: "application/json",
		PayTo: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", Network: "Base Sepolia", SecretHeader: "X-Api-Key", Timeout: 20 * time.Second, MaxAnswer: 4 << 20,
		Identified: true, Input: `{"city":"</pre><script>"}`, Output: `{"rain":false}`, Created: at(1, 9, 0, 0),
		Calls: []AttemptRow{
			{Attempt: "pa_1CbVxLwM7Qe2RtYu8PzKsd", Time: at(2, 10, 0, 1), Payer: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", State: "settled", Amount: usdc(t, "0.05")},
			{Attempt: "pa_2CbVxLwM7Qe2RtYu8PzKsd", Time: at(2, 10, 0, 0), State: "cancelled", Amount: usdc(t, "0.05"), Pending: true},
		},
	}
}

func trialExample(t *testing.T) TrialView {
	t.Helper()
	return TrialView{
		DashboardView: shell("Try it", SectionEndpoints), Endpoint: "end_3vQB7u9dXkZpR2mNcTfWyA", Title: "Weather", Price: usdc(t, "0.05"), MayPay: true,
		CallURL: "https://pay.example/x/end_3vQB7u9dXkZpR2mNcTfWyA", Method: Field{Value: "POST"}, Path: Field{Value: "/oslo?days=2"}, Body: Field{Value: `{"a":1}`},
		Steps: []TrialStep{
			{
				Name: "Asked without a payment", Method: "POST", Path: "/x/end_3vQB7u9dXkZpR2mNcTfWyA/oslo?days=2", Status: "402 Payment Required",
				Sent: []Header{{"Host", "pay.example"}, {"Accept", "*/*"}}, SentBody: `{"a":1}`, Got: []Header{{"Payment-Required", "e30="}, {"X-Mark", "<b>"}},
				GotBody: []byte(`{"x402Version":1}`), Spelled: []Spelled{{"PAYMENT-REQUIRED", "{}"}},
			},
			{
				Name: "Asked with the payment", Method: "POST", Path: "/x/end_3vQB7u9dXkZpR2mNcTfWyA/oslo?days=2", Status: "200 OK",
				Sent: []Header{{"Payment-Signature", "e30="}}, Got: []Header{{"Payment-Response", "e30="}}, GotBody: []byte("<script>alert(1)</script> caf\xe9"), Cut: true,
			},
			{Name: "Asked again with the same payment", Method: "GET", Path: "/x/1", Problem: "The answer broke off."},
		},
		Outcome: "Paid 0.05 USDC, and answered: 200 OK.", Worked: true,
	}
}

func TestPagesOfPaidAPIs(t *testing.T) {
	t.Parallel()
	endpoint, trial := endpointExample(t), trialExample(t)
	off := endpoint
	off.Disabled, off.Pricing, off.First, off.Calls, off.PayTo, off.Barred = true, "per_request", true, nil, "", []access.Permission{access.ChangeEndpoints, access.ChangeCodes}
	asking := trial
	asking.MayPay, asking.Steps, asking.Outcome = false, nil, ""
	asking.Path.Problem = "Give a path such as /weather?days=2, or nothing."
	failed := trial
	failed.Steps, failed.Outcome, failed.Worked = trial.Steps[2:], "The answer broke off.", false
	passes := PassesView{DashboardView: shell("Passes", SectionEndpoints), Endpoint: endpoint.Endpoint, Title: "Weather", Passes: []PassRow{
		{Pass: "pss_1CbVxLwM7Qe2RtYu8PzKsd", Endpoint: endpoint.Endpoint, Title: "Weather", Payer: endpoint.PayTo, Payments: 3, Ends: at(30, 9, 0, 0), State: "active"},
		{Pass: "pss_2CbVxLwM7Qe2RtYu8PzKsd", Endpoint: "end_2", Title: "<b>", Payer: endpoint.PayTo, Payments: 1, State: "revoked"},
		{Pass: "pss_3CbVxLwM7Qe2RtYu8PzKsd", Endpoint: "end_2", Title: "Tides", Payer: endpoint.PayTo, Payments: 1, Ends: at(1, 9, 0, 0), State: "expired"},
	}}
	watched := passes
	watched.Endpoint, watched.Barred = "", []access.Permission{access.ChangeEndpoints}
	for name, page := range map[string]templ.Component{
		"endpoints": Endpoints(EndpointsView{DashboardView: shell("Paid APIs", SectionEndpoints), Endpoints: []EndpointRow{
			endpoint.EndpointRow, {Endpoint: "end_2", Title: "<b>", URL: "https://api.example/?a=<b>", Price: usdc(t, "2.50"), Pricing: "one_time", First: true, Disabled: true},
		}}),
		"endpoints_none": Endpoints(EndpointsView{DashboardView: shell("Paid APIs", SectionEndpoints)}),
		"endpoint":       Endpoint(endpoint),
		"endpoint_off":   Endpoint(off),
		"endpoint_new":   EndpointForm(EndpointFormView{DashboardView: shell("New paid API", SectionEndpoints), Once: "7yGm2QwErTzUiPaSdFgHjK"}),
		"endpoint_refused": EndpointForm(EndpointFormView{
			DashboardView: shell("Edit paid API", SectionEndpoints), Endpoint: "end_2", Problem: "Nothing was changed.", HasSecret: true, Identified: true,
			URL: Field{"ftp://a", "It begins with https://."}, Title: Field{Value: `"><b>`}, Pricing: Field{Value: "subscription"}, Interval: Field{Value: "week"},
			Settle: Field{Value: "first"}, Price: Field{"much", "Give an amount such as 12.50, with at most six decimals."}, SecretHeader: Field{"Host", "Give the name of a header of your own, such as X-Api-Key."},
			Secret: Field{Problem: "Give the secret that your server expects."}, Input: Field{"{", "Give JSON of at most 4096 bytes."}, Output: Field{Value: "{}"},
			MimeType: Field{"x", "Give a media type such as application/json."}, Timeout: Field{"5", ""}, MaxAnswer: Field{"1048576", "Give at most 4194304, or settle first."},
		}),
		"endpoint_trial":        Trial(trial),
		"endpoint_trial_asks":   Trial(asking),
		"endpoint_trial_failed": Trial(failed),
		"passes":                Passes(passes),
		"passes_watched":        Passes(watched),
		"passes_none":           Passes(PassesView{DashboardView: shell("Passes", SectionEndpoints)}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, page)
		})
	}
}

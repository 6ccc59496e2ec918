package views

import (
	"testing"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"
)

func accountExample() AccountView {
	used := at(21, 9, 12, 0)
	return AccountView{
		DashboardView: shell("Your account", ""), DoorView: DoorView{Test: true, TestWallet: true}, Name: Field{Value: "Mette Lund"}, Codes: 7,
		Passkeys: []PasskeyRow{{ID: "AQID", Name: "iPhone", Since: at(18, 14, 0, 0), Used: &used}, {ID: "BAUG", Name: "Windows", Since: at(19, 8, 0, 0)}},
		Wallets:  []WalletRow{{Address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", Since: at(18, 14, 0, 0)}},
		Sessions: []SessionRow{
			{ID: "ses_1ChHQgZvF7Y4JLiQa34ooR", Browser: "Safari on iPhone", Shop: "Kaffe Nord", Method: "a passkey", Address: "203.0.113.7", Seen: at(21, 14, 32, 0), This: true},
			{ID: "ses_1ChHQgZvF7Y4JLiQa34ooS", Browser: "Firefox on Windows", Method: "a recovery code", Seen: at(20, 9, 0, 0)},
		},
	}
}

func TestPagesOfPeople(t *testing.T) {
	t.Parallel()
	alone := AccountView{Alone: true, Name: Field{Value: "", Problem: "Give a name of 1 to 80 characters."}}
	alone.DashboardView = DashboardView{Heading: "Your account", Flash: Flash{Text: "This is your last passkey or wallet. Add another one first.", Failed: true}}
	codes := []string{"k7dm-2p9x-h4qs-w8tz-3n5v-e6r0", "0a1b-2c3d-4e5f-6g7h-8j9k-mnpq"}
	pages := map[string]templ.Component{
		"account":              Account(accountExample()),
		"account_alone":        Account(alone),
		"account_codes":        NewCodes(NewCodesView{DashboardView: shell("Recovery codes", ""), Codes: codes}),
		"account_step_up":      StepUp(StepUpView{Return: "/dashboard/settings", Passkeys: true, Wallets: true}),
		"account_step_up_code": StepUp(StepUpView{DoorView: DoorView{Test: true}, Return: AccountPath, Demo: true, Code: Field{Value: "x", Problem: "This is no recovery code of yours, or it was used before."}}),
		"join":                 Join(JoinView{Return: "/invites/abc", Pass: "abc", Name: Field{Value: "Kai"}}),
		"join_first":           Join(JoinView{FirstRun: true, Pass: "token", Shop: Field{Problem: "Give a name of 1 to 80 characters."}}),
		"join_codes":           Codes(CodesView{Codes: codes, Next: OverviewPath, Word: "Go on"}),
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, page)
			html := render(t, page)
			require.NotContains(t, html, " style=")
			require.NotContains(t, html, "onclick")
		})
	}
}

func TestOnlyTheDevelopmentBuildOffersItsWallet(t *testing.T) {
	t.Parallel()
	require.Contains(t, render(t, SignIn(signInExample())), "js/testwallet.")
	require.NotContains(t, render(t, SignIn(SignInView{})), "testwallet")
}

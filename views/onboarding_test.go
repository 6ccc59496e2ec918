package views

import (
	"testing"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"
)

func checklistExample() ChecklistView {
	return ChecklistView{Rows: []CheckRow{
		{Done: true, Name: "Where the money goes", Hint: "0x7A3f…91Bc, Mette Lund, 18 Nov, 09:10", Verb: "Set", Path: OnboardingMoneyPath},
		{Done: true, Name: "Address proven", Hint: "Signed, Mette Lund, 18 Nov, 09:12", Verb: "Prove", Path: OnboardingProofPath},
		{Done: true, Name: "Something to sell", Hint: "Flat white, 18 Nov, 09:13", Verb: "Create", Path: OnboardingSellPath},
		{Done: true, Name: "First test payment", Hint: "4.50 USDC, 0x5f3a…c21d, 18 Nov, 09:14", Verb: "Try", Path: OnboardingTryPath},
		{Name: "A second way in", Hint: "Recovery codes, or a second owner", Verb: "Save", Path: AccountPath},
		{Name: "A till is paired", Hint: "A tablet on the counter", Verb: "Pair", Path: TillNewPath},
		{Name: "First real payment", Hint: "Any amount will do", Verb: "Start", Path: SettingsPath + "#mode"},
	}}
}

func newShopExample() ChecklistView {
	v := checklistExample()
	for i := range v.Rows {
		v.Rows[i].Done, v.Rows[i].Hint = false, "Still to be done"
		if i > 0 {
			v.Rows[i].Verb = ""
		}
	}
	return v
}

func wizardExample(heading string, step int) WizardView {
	return WizardView{DashboardView: shell(heading, ""), DoorView: DoorView{Test: true, TestWallet: true}, Step: step, Back: OverviewPath}
}

func TestPagesOfTheSetUp(t *testing.T) {
	t.Parallel()
	const address = "0x7A3f52c09E1b84D6aF0C7731e5B2d98460Ec91Bc"
	nobodys := wizardExample("What is your shop called?", StepShop)
	nobodys.DashboardView, nobodys.Back = DashboardView{Heading: nobodys.Heading, Person: "Mette Lund"}, ""
	money := MoneyView{
		WizardView: wizardExample("Where should the money go?", StepMoney),
		AddressChoice: AddressChoice{Networks: []NetworkOption{
			{ID: "eip155:8453", Name: "Base", Chosen: true, Typical: "0.001 USD, 2 seconds"},
			{ID: "eip155:84532", Name: "Base Sepolia", Test: true, Chosen: true, Typical: "Free, 2 seconds"},
		}},
	}
	checked, refused := money, money
	checked.Address.Value = address
	checked.Report = AddressReportView{Known: true, Kind: "wallet", Receives: true, Skew: "42s"}
	refused.Address = Field{Value: "0x1", Problem: "An address is 0x and 40 figures and letters from a to f. Copy it from your wallet."}
	refused.NoNetwork = "Choose at least one network."
	sell := SellView{
		WizardView: wizardExample("What do you want to sell?", StepSell), Title: Field{Value: "Flat white"}, Price: Field{Value: "4.50"},
		MayPair: true, MaySeeKey: true,
	}
	unsold := sell
	unsold.Unproven = true
	unsold.Problem, unsold.Price.Problem = "The shop has no address to be paid at yet.", "The price must be more than zero."
	try := TryView{
		WizardView: wizardExample("Try it", StepSell), Title: "Flat white", Price: usdc(t, "4.50"), URL: "https://shop.example/link/AAAAAAAAAAAAAAAAAAAAAA",
		Code: CodePath("AAAAAAAAAAAAAAAAAAAAAA"), MayPay: true,
	}
	try.Live = OnboardingTryPath
	confirming, paid := try, try
	confirming.State, confirming.Refresh, confirming.MayPay = "settling", true, false
	paid.Step = StepSell + 1
	paid.Paid = PaidView{Amount: try.Price, At: at(18, 9, 14, 3).UTC(), Transaction: "0x5f3a3f52c09E1b84D6aF0C7731e5B2d98460Ec21d", TransactionURL: "https://explorer.example/tx/0x5f3a"}
	pages := map[string]templ.Component{
		"shop":         ShopName(ShopNameView{WizardView: nobodys, Name: Field{Value: " ", Problem: "Give a name of 1 to 80 characters."}}),
		"shop_closed":  ShopName(ShopNameView{WizardView: nobodys, Closed: true}),
		"money":        OnboardingMoney(money),
		"money_known":  OnboardingMoney(checked),
		"money_wrong":  OnboardingMoney(refused),
		"proof":        OnboardingProof(ProofView{WizardView: wizardExample("Is it yours?", StepProof), Address: address, Report: AddressReportView{Known: true, Kind: "contract", Safe: "2 of 3"}, Networks: "eip155:84532"}),
		"sell":         OnboardingSell(sell),
		"sell_refused": OnboardingSell(unsold),
		"try":          OnboardingTry(try),
		"try_settling": OnboardingTry(confirming),
		"try_paid":     OnboardingTry(paid),
		"checks":       AddressChecks(AddressReportView{Problem: "This is the address of USDC itself."}, ""),
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "onboarding_"+name, page)
			require.NotContains(t, render(t, page), " style=")
		})
	}
}

func TestTheFragmentOfAPageThatWaitsForItsPaymentHasNoStreamOfItsOwn(t *testing.T) {
	t.Parallel()
	v := TryView{WizardView: wizardExample("Try it", StepSell), Title: "Flat white", Price: usdc(t, "4.50")}
	v.Live = OnboardingTryPath
	fragment := render(t, OnboardingTry(v), LiveFragment)
	require.Contains(t, fragment, `<div id="live"`)
	require.NotContains(t, fragment, "sse-connect")
	require.Contains(t, render(t, OnboardingTry(v)), `hx-get="/onboarding/try"`)
}

func TestAChecklistLeavesWhenItIsDone(t *testing.T) {
	t.Parallel()
	v := checklistExample()
	require.Contains(t, render(t, checklist(v)), "4 of 7")
	require.Equal(t, 4, v.next())
	for i := range v.Rows {
		v.Rows[i].Done = true
	}
	require.Empty(t, render(t, checklist(v)))
	require.Empty(t, render(t, checklist(ChecklistView{})))
}

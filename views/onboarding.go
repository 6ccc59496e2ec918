package views

import (
	"strconv"
	"time"

	"xsynesis/access"
	"xsynesis/money"
)

// The pages that lead a new shop to its first payment. Each can be left and come back to.
const (
	OnboardingShopPath     = OnboardingPath + "/shop"
	OnboardingMoneyPath    = OnboardingPath + "/money"
	OnboardingChecksPath   = OnboardingMoneyPath + "/checks" // what is known of the address in the query
	OnboardingProofPath    = OnboardingPath + "/proof"
	OnboardingSellPath     = OnboardingPath + "/sell"
	OnboardingTryPath      = OnboardingPath + "/try"
	OnboardingPaymentsPath = OnboardingPath + "/payments" // pays with the development build's own wallet
)

// Steps of the set-up, as they stand on top of its pages.
const (
	StepShop = iota
	StepMoney
	StepProof
	StepSell
)

var stepNames = []string{"Shop", "Money", "Prove it", "Sell"}

// WizardView is what stands around each page of the set-up.
type WizardView struct {
	DashboardView // Shop is empty for a person who has none yet
	DoorView
	Step     int    // one of the steps above
	Back     string // the page before; empty for none
	Unproven bool   // the step of the proof was put off
}

func (v WizardView) frame() Page {
	p := v.on(dashboardFrame(v.Heading, true))
	p.Styles = append(p.Styles, "css/settings.css", "css/onboarding.css")
	p.Refresh = v.Refresh
	return p
}

// leave is where a page of the set-up is left to.
func (v WizardView) leave() string {
	if v.Shop == "" || !v.may(access.SeeShop) {
		return AccountPath
	}
	return OverviewPath
}

// wizardStep is one name in the line on top.
type wizardStep struct {
	name          string
	number        string
	current, done bool
}

func (v WizardView) steps() []wizardStep {
	steps := make([]wizardStep, len(stepNames))
	for i, name := range stepNames {
		steps[i] = wizardStep{name: name, number: strconv.Itoa(i + 1), current: i == v.Step, done: i < v.Step && (i != StepProof || !v.Unproven)}
	}
	return steps
}

// ShopNameView asks for the name of a shop.
type ShopNameView struct {
	WizardView
	Name   Field
	Closed bool // nobody opens a shop here who has none
}

// MoneyView asks where the shop is to be paid.
type MoneyView struct {
	WizardView
	AddressChoice
	Report AddressReportView
}

// AddressReportView is what is known of an address before it is used. Its zero value says nothing.
type AddressReportView struct {
	Problem  string // why nobody can be paid at it
	Known    bool
	Kind     string // wallet, contract, or empty: its networks do not answer
	Safe     string // "2 of 3"; empty for none
	Receives bool   // the token pays it
	Skew     string // how far our clock is off: "42s"; empty for near enough
}

// chosen is the networks for a wallet that is used at once.
func (v MoneyView) chosen() string {
	text := ""
	for _, n := range v.Networks {
		if n.Chosen && text != "" {
			text += ","
		}
		if n.Chosen {
			text += n.ID
		}
	}
	return text
}

// ProofView asks for a signature of the address.
type ProofView struct {
	WizardView
	Address  string
	Report   AddressReportView
	Networks string // those on which it is not proven, with commas between them
}

// SellView asks what is to be sold first.
type SellView struct {
	WizardView
	Title     Field
	Price     Field
	Problem   string
	MayPair   bool // tablets
	MaySeeKey bool
}

// TryView is the first thing on sale, until it is paid and after.
type TryView struct {
	WizardView
	Title  string
	Price  money.USDC
	URL    string
	Code   string // the address of its QR code as an image
	State  string // of the newest purchase, as on the pill; empty: nobody has begun one
	MayPay bool   // with the development build's own wallet
	Paid   PaidView
}

// PaidView is a shop's first payment. Its zero value is none.
type PaidView struct {
	Amount         money.USDC
	At             time.Time
	Transaction    string
	TransactionURL string
}

// ChecklistView is how far a shop is on its way to real money. Without rows there is none.
type ChecklistView struct {
	Rows []CheckRow
}

// CheckRow is one thing to be done, or done.
type CheckRow struct {
	Done bool
	Name string
	Hint string // what proves it, or why it is to be done
	Verb string // empty for whoever may not do it
	Path string
}

func (v ChecklistView) done() (n int) {
	for _, r := range v.Rows {
		if r.Done {
			n++
		}
	}
	return n
}

// next is the place of the first row that is still to be done and that the reader can do.
func (v ChecklistView) next() int {
	for i, r := range v.Rows {
		if !r.Done && r.Verb != "" {
			return i
		}
	}
	return -1
}

func (v ChecklistView) stand() string {
	return strconv.Itoa(v.done()) + " of " + strconv.Itoa(len(v.Rows))
}

// CodePath is a link's code as an image of the size that a desktop shows.
func CodePath(token string) string { return qrPath(token, "svg", 290) }

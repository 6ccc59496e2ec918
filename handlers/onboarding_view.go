package handlers

import (
	"fmt"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/shop"
	"xsynesis/views"
)

// wizard is what stands around a page of the set-up, which always shows test money.
func (h *Handlers) wizard(c echo.Context, s seller, heading string, step int) views.WizardView {
	v := views.WizardView{DashboardView: views.DashboardView{Heading: heading, Person: s.PersonName}, DoorView: h.door(), Step: step}
	if s.Merchant != "" {
		v.DashboardView = h.frame(c, s, heading, "", false)
	}
	return v
}

// networkOptions are those that can be used here, all of them chosen: on each the address has to be proven before real
// money comes.
func (h *Handlers) networkOptions() []views.NetworkOption {
	var out []views.NetworkOption
	for _, n := range h.Payees.Networks() {
		typical := fmt.Sprintf("%s USD, %s", n.Fee, inSeconds(n.Time))
		if n.Fee == "" {
			typical = "Free, " + inSeconds(n.Time)
		}
		out = append(out, views.NetworkOption{ID: n.ID, Name: n.Name, Test: n.Test, Chosen: true, Typical: typical})
	}
	return out
}

func inSeconds(d time.Duration) string {
	if d == time.Second {
		return "1 second"
	}
	return fmt.Sprintf("%d seconds", int(d.Seconds()))
}

func addressReportView(r shop.AddressReport) views.AddressReportView {
	v := views.AddressReportView{Known: true, Kind: string(r.Kind), Receives: r.Receives != nil && *r.Receives}
	if r.Receives != nil && !*r.Receives {
		return views.AddressReportView{Problem: shop.BlockedSentence}
	}
	if r.Needed > 0 {
		v.Safe = fmt.Sprintf("%d of %d", r.Needed, r.Owners)
	}
	if r.Skew != 0 {
		v.Skew = r.Skew.Abs().String()
	}
	return v
}

// proofView names the first address of a shop that is not proven, and the networks on which it is not.
func proofView(all []shop.ReceivingAddress) (v views.ProofView) {
	var networks []string
	for _, a := range all {
		if !a.Given() {
			continue
		}
		if v.Address == "" {
			v.Address = a.Address.Hex()
		}
		if a.ProvenAt == nil {
			if len(networks) == 0 {
				v.Address = a.Address.Hex()
			}
			if a.Address.Hex() == v.Address {
				networks = append(networks, a.Network.ID)
			}
		}
	}
	v.Networks = strings.Join(networks, ",")
	return v
}

func (h *Handlers) tryView(c echo.Context, s seller, l shop.Link, p shop.Progress, attempts []checkout.Listed) views.TryView {
	v := views.TryView{
		WizardView: h.wizard(c, s, "Try it", views.StepSell), Title: l.Title, Price: l.Price, URL: h.PublicURL + views.LinkPath(l.Token),
		Code: views.CodePath(l.Token), MayPay: h.TestWallet,
	}
	v.Back, v.Live, v.Unproven = views.OnboardingSellPath, views.OnboardingTryPath, !p.Proof.Done()
	if len(attempts) > 0 {
		v.State = string(attempts[0].Status)
		v.Refresh = attempts[0].Status == checkout.Settling || attempts[0].Status == checkout.Unknown
	}
	if p.TestSale.Done() {
		v.Heading, v.Refresh, v.Step = "Paid", false, views.StepSell+1
		v.Paid = views.PaidView{
			Amount: p.TestSale.Amount, At: p.TestSale.At, Transaction: p.TestSale.What, TransactionURL: h.explorerOf(p.TestSale),
		}
	}
	return v
}

func (h *Handlers) explorerOf(sale shop.FirstSale) string {
	n, err := h.Networks.Network(sale.Network)
	if err != nil {
		return ""
	}
	return transactionURL(n.Explorer, sale.What, false)
}

// checklist is what is left before real money, for those who can change it.
func (h *Handlers) checklist(c echo.Context, s seller) (views.ChecklistView, error) {
	if !s.May(access.ChangeSettings) {
		return views.ChecklistView{}, nil
	}
	p, err := h.Shop.Progress(c.Request().Context(), s.Merchant)
	if err != nil {
		return views.ChecklistView{}, err
	}
	owner := s.May(access.ChangePayee)
	rows := []views.CheckRow{
		{Done: p.Address.Done(), Name: "Where the money goes", Hint: proofOf(p.Address, shortHex(checksum(p.Address.What)), "The address of your wallet"),
			Verb: verb(owner, "Set"), Path: views.OnboardingMoneyPath},
		{Done: p.Proof.Done(), Name: "Address proven", Hint: proofOf(p.Proof, "Signed at "+p.Proof.At.Format("15:04"), "So that nobody is paid by mistake"),
			Verb: verb(owner && p.Address.Done(), "Prove"), Path: views.OnboardingProofPath},
		{Done: p.Link.Done(), Name: "Something to sell", Hint: proofOf(p.Link, p.Link.What, "A name and a price are enough"),
			Verb: verb(p.Address.Done(), "Create"), Path: views.OnboardingSellPath},
		{Done: p.TestSale.Done(), Name: "First test payment", Hint: saleHint(p.TestSale, "It costs nothing"),
			Verb: verb(p.Link.Done(), "Try"), Path: views.OnboardingTryPath},
		recoveryRow(p, owner),
	}
	if p.Webhook.Done() {
		rows = append(rows, views.CheckRow{
			Done: p.Delivery.Done(), Name: "Your server answers", Hint: proofOf(p.Delivery, p.Delivery.What, "Send it a test event"),
			Verb: verb(s.May(access.ChangeWebhooks), "Test"), Path: views.WebhooksPath,
		})
	}
	if p.Cashier.Done() || p.Till.Done() {
		rows = append(rows, views.CheckRow{
			Done: p.Till.Done(), Name: "A till is paired", Hint: proofOf(p.Till, p.Till.What, "A tablet on the counter"),
			Verb: verb(s.May(access.ChangeStaff), "Pair"), Path: views.TillNewPath,
		})
	}
	return views.ChecklistView{Rows: append(rows, views.CheckRow{
		Done: p.LiveSale.Done(), Name: "First real payment", Hint: saleHint(p.LiveSale, "Any amount will do"),
		Verb: verb(s.May(access.GoLive) && p.Proof.Done(), "Start"), Path: views.SettingsPath + "#mode",
	})}, nil
}

// recoveryRow is how the shop is opened again when its owner lost his passkey.
func recoveryRow(p shop.Progress, owner bool) views.CheckRow {
	row := views.CheckRow{
		Done: p.Codes.Done() || p.Owners.Done(), Name: "A second way in", Hint: "Recovery codes, or a second owner",
		Verb: verb(owner, "Save"), Path: views.AccountPath,
	}
	switch {
	case p.Owners.Done():
		row.Hint = fmt.Sprintf("%d owners", p.Owners.Count)
	case p.Codes.Done():
		row.Hint = fmt.Sprintf("Recovery codes: %d left", p.Codes.Count)
	}
	return row
}

func verb(may bool, word string) string {
	if !may {
		return ""
	}
	return word
}

// proofOf tells of something done what, by whom and on which day, and of something else why it is to be done.
func proofOf(m shop.Milestone, what, why string) string {
	if !m.Done() {
		return why
	}
	if m.Who != "" {
		what += ", " + m.Who
	}
	return what + ", " + m.At.Format("2 Jan")
}

func saleHint(sale shop.FirstSale, why string) string {
	if !sale.Done() {
		return why
	}
	return fmt.Sprintf("%s, %s, %s", views.AmountUSDC(sale.Amount), shortHex(sale.What), sale.At.Format("2 Jan"))
}

// shortHex writes an address or a transaction as people compare it.
func shortHex(hex string) string {
	if len(hex) <= 12 {
		return hex
	}
	return hex[:6] + "…" + hex[len(hex)-4:]
}

package handlers

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/views"
	"xsynesis/x402"
)

func (h *Handlers) onboardingRoutes(e *echo.Echo) {
	e.GET(views.OnboardingPath, h.owner(h.onboarding))
	e.GET(views.OnboardingShopPath, h.owner(h.nameShop))
	e.POST(views.OnboardingShopPath, h.owner(h.openShop))
	e.GET(views.OnboardingMoneyPath, h.may(access.ChangePayee, h.stepUp(h.chooseAddress)))
	e.POST(views.OnboardingMoneyPath, h.may(access.ChangePayee, h.stepUp(h.takeAddress)))
	e.GET(views.OnboardingChecksPath, h.may(access.ChangePayee, h.checkAddress))
	e.GET(views.OnboardingProofPath, h.may(access.ChangePayee, h.stepUp(h.askProof)))
	e.GET(views.OnboardingSellPath, h.may(access.ChangeLinks, h.chooseOffer))
	e.POST(views.OnboardingSellPath, h.may(access.ChangeLinks, h.makeOffer))
	e.GET(views.OnboardingTryPath, h.may(access.ChangeLinks, h.tryOffer))
}

// onboarding leads to the first step that is still to be done, so that the set-up can be left anywhere.
func (h *Handlers) onboarding(c echo.Context, s seller) error {
	if s.Merchant == "" {
		return c.Redirect(http.StatusSeeOther, views.OnboardingShopPath)
	}
	p, err := h.Shop.Progress(c.Request().Context(), s.Merchant)
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, nextStep(s, p))
}

// nextStep is the page of the first step that is not done; the overview for whoever may not do it.
func nextStep(s seller, p shop.Progress) string {
	step, needs := views.OverviewPath, access.SeeShop
	switch {
	case !p.Address.Done():
		step, needs = views.OnboardingMoneyPath, access.ChangePayee
	case !p.Proof.Done() && !p.Link.Done() && s.May(access.ChangePayee):
		step, needs = views.OnboardingProofPath, access.ChangePayee
	case !p.Link.Done():
		step, needs = views.OnboardingSellPath, access.ChangeLinks
	case !p.TestSale.Done():
		step, needs = views.OnboardingTryPath, access.ChangeLinks
	}
	if !s.May(needs) {
		return views.OverviewPath
	}
	return step
}

func (h *Handlers) nameShop(c echo.Context, s seller) error {
	return h.showShopName(c, s, http.StatusOK, views.Field{})
}

func (h *Handlers) showShopName(c echo.Context, s seller, status int, name views.Field) error {
	may, err := h.Gate.MayOpenShop(c.Request().Context(), s.Person)
	if err != nil {
		return err
	}
	v := views.ShopNameView{WizardView: h.wizard(c, s, "What is your shop called?", views.StepShop), Name: name, Closed: !may}
	if !may {
		v.Heading = "No shop yet"
	}
	return h.Page(c, status, views.ShopName(v))
}

func (h *Handlers) openShop(c echo.Context, s seller) error {
	name := c.FormValue("name")
	fresh, err := h.Gate.OpenShop(c.Request().Context(), s.Session, h.secretOf(c), name, browserOf(c))
	if errors.Is(err, access.ErrPerson) {
		return h.showShopName(c, s, http.StatusUnprocessableEntity, views.Field{Value: name, Problem: nameProblem})
	}
	if err != nil {
		return err
	}
	h.setCookie(c, fresh, 0)
	return c.Redirect(http.StatusSeeOther, views.OnboardingPath)
}

// chooseAddress asks for an address; one that is proven already is changed elsewhere, and slowly.
func (h *Handlers) chooseAddress(c echo.Context, s seller) error {
	all, err := h.Payees.Addresses(c.Request().Context(), s.Merchant)
	if err != nil {
		return err
	}
	for _, a := range all {
		switch {
		case a.ProvenAt != nil:
			return c.Redirect(http.StatusSeeOther, views.AddressPath)
		case a.Given():
			r, err := h.reportOf(c, s, a.Address.Hex())
			if err != nil {
				return err
			}
			return h.showMoney(c, s, http.StatusOK, func(v *views.MoneyView) { v.Address.Value, v.Report = a.Address.Hex(), r })
		}
	}
	return h.showMoney(c, s, http.StatusOK, nil)
}

func (h *Handlers) showMoney(c echo.Context, s seller, status int, change func(*views.MoneyView)) error {
	v := views.MoneyView{
		WizardView: h.wizard(c, s, "Where should the money go?", views.StepMoney), AddressChoice: views.AddressChoice{Networks: h.networkOptions()},
	}
	v.Back = views.OverviewPath
	if change != nil {
		change(&v)
	}
	return h.Page(c, status, views.OnboardingMoney(v))
}

// takeAddress takes what was typed, and goes on to its proof.
func (h *Handlers) takeAddress(c echo.Context, s seller) error {
	wrong, err := h.typedAddress(c, s)
	if err != nil {
		return err
	}
	if wrong != nil {
		return h.showMoney(c, s, http.StatusUnprocessableEntity, func(v *views.MoneyView) { wrong(&v.AddressChoice) })
	}
	return c.Redirect(http.StatusSeeOther, views.OnboardingProofPath)
}

// checkAddress says what is known of an address, for the page on which it is being typed.
func (h *Handlers) checkAddress(c echo.Context, s seller) error {
	var v views.AddressReportView
	if text := c.QueryParam("address"); text != "" {
		var err error
		if v, err = h.reportOf(c, s, text); err != nil {
			return err
		}
	}
	return h.Page(c, http.StatusOK, views.AddressChecks(v, ""))
}

// reportOf tells what is known of an address; what speaks against it is part of the report.
func (h *Handlers) reportOf(c echo.Context, s seller, text string) (views.AddressReportView, error) {
	r, err := h.Payees.Report(c.Request().Context(), s.Merchant, text)
	var wrong *shop.FieldError
	switch {
	case errors.As(err, &wrong):
		return views.AddressReportView{Problem: wrong.Message}, nil
	case err != nil:
		return views.AddressReportView{}, err
	}
	return addressReportView(r), nil
}

// askProof asks for a signature where one is missing, and else goes on.
func (h *Handlers) askProof(c echo.Context, s seller) error {
	all, err := h.Payees.Addresses(c.Request().Context(), s.Merchant)
	if err != nil {
		return err
	}
	v := proofView(all)
	switch {
	case v.Address == "":
		return c.Redirect(http.StatusSeeOther, views.OnboardingMoneyPath)
	case v.Networks == "":
		return c.Redirect(http.StatusSeeOther, views.OnboardingSellPath)
	}
	if v.Report, err = h.reportOf(c, s, v.Address); err != nil {
		return err
	}
	v.WizardView = h.wizard(c, s, "Is it yours?", views.StepProof)
	v.Back = views.OnboardingMoneyPath
	return h.Page(c, http.StatusOK, views.OnboardingProof(v))
}

// example is the link that a shop is offered to begin with.
var example = struct {
	title string
	price money.USDC
}{"Flat white", 4*money.One + money.One/2}

func (h *Handlers) chooseOffer(c echo.Context, s seller) error {
	return h.showOffer(c, s, http.StatusOK, views.SellView{
		Title: views.Field{Value: example.title}, Price: views.Field{Value: example.price.String()},
	})
}

func (h *Handlers) showOffer(c echo.Context, s seller, status int, v views.SellView) error {
	p, err := h.Shop.Progress(c.Request().Context(), s.Merchant)
	if err != nil {
		return err
	}
	v.WizardView = h.wizard(c, s, "What do you want to sell?", views.StepSell)
	v.Unproven = !p.Proof.Done()
	if s.May(access.ChangePayee) && v.Unproven {
		v.Back = views.OnboardingProofPath
	}
	v.MayPair, v.MaySeeKey = s.May(access.ChangeStaff), s.May(access.SeeKeys)
	return h.Page(c, status, views.OnboardingSell(v))
}

// makeOffer makes the first link, for test money.
func (h *Handlers) makeOffer(c echo.Context, s seller) error {
	price, err := readAmount("price", strings.TrimSpace(c.FormValue("price")))
	if err == nil {
		_, err = h.Shop.CreateLink(c.Request().Context(), s.Merchant, false, shop.LinkForm{Title: c.FormValue("title"), Price: price}, actor(c, s))
	}
	if err == nil {
		h.Hub.Changed("", s.Merchant)
		return c.Redirect(http.StatusSeeOther, views.OnboardingTryPath)
	}
	v := views.SellView{Title: views.Field{Value: c.FormValue("title")}, Price: views.Field{Value: c.FormValue("price")}}
	r, field := replyTo(err)
	switch {
	case r.status >= http.StatusInternalServerError:
		return err
	case field == "title":
		v.Title.Problem = r.message
	case field == "price":
		v.Price.Problem = r.message
	default:
		v.Problem = r.message
	}
	return h.showOffer(c, s, http.StatusUnprocessableEntity, v)
}

// newestOffer is the test link that a shop tries, or [shop.ErrNotFound] where none can be paid.
func (h *Handlers) newestOffer(c echo.Context, s seller) (shop.Link, error) {
	links, err := h.Shop.Links(c.Request().Context(), s.Merchant, false, shop.Page{Limit: pageSize})
	if err != nil {
		return shop.Link{}, err
	}
	for _, l := range links {
		if l.Open(h.Now()) == nil {
			return l.Link, nil
		}
	}
	return shop.Link{}, shop.ErrNotFound
}

func (h *Handlers) tryOffer(c echo.Context, s seller) error {
	l, err := h.newestOffer(c, s)
	if errors.Is(err, shop.ErrNotFound) {
		return c.Redirect(http.StatusSeeOther, views.OnboardingSellPath)
	}
	if err != nil {
		return err
	}
	p, err := h.Shop.Progress(c.Request().Context(), s.Merchant)
	if err != nil {
		return err
	}
	attempts, err := h.Checkout.AttemptsOfLink(c.Request().Context(), s.Merchant, l.ID, 1)
	if err != nil {
		return err
	}
	return h.livePage(c, views.OnboardingTry(h.tryView(c, s, l, p, attempts)))
}

// Payer signs for a purchase with a key that holds test money.
type Payer func(a checkout.Attempt, want x402.Requirement) (x402.Payment, error)

// PayTest pays a shop's newest test link with the wallet of the development build, which alone has such a route.
func (h *Handlers) PayTest(sign Payer) echo.HandlerFunc {
	return h.may(access.ChangeLinks, func(c echo.Context, s seller) error {
		ctx := c.Request().Context()
		l, err := h.newestOffer(c, s)
		if err != nil {
			return err
		}
		a, err := h.Checkout.Start(ctx, checkout.Begin{Token: l.Token})
		if err != nil {
			return err
		}
		payment, err := sign(a, h.Checkout.Requirement(a))
		if err != nil {
			return err
		}
		if _, err = h.Checkout.Pay(ctx, a.ID, payment); err != nil && !errors.Is(err, checkout.ErrPending) {
			return err
		}
		return c.Redirect(http.StatusSeeOther, views.OnboardingTryPath)
	})
}

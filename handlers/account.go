package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/ethereum/go-ethereum/common"
	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/views"
)

// accountRoutes are a person's own: what he signs in with, and where he is signed in. They need no role in any shop.
func (h *Handlers) accountRoutes(e *echo.Echo) {
	e.GET(views.AccountPath, h.owner(h.account))
	e.POST(views.AccountNamePath, h.owner(h.renamePerson))
	e.POST(views.AccountChallengesPath, h.owner(h.askNewPasskey))
	e.POST(views.AccountPasskeysPath, h.owner(h.addPasskey))
	e.POST(views.AccountPasskeysPath+"/:passkey", h.owner(h.renamePasskey))
	e.GET(views.AccountPasskeysPath+"/:passkey/removal", h.owner(h.stepUp(h.confirmPasskeyRemoval)))
	e.POST(views.AccountPasskeysPath+"/:passkey/removal", h.owner(h.removePasskey))
	e.POST(views.AccountWalletChallengesPath, h.owner(h.askOwnWallet(access.ForWallet)))
	e.POST(views.AccountWalletsPath, h.owner(h.addWallet))
	e.GET(views.AccountWalletsPath+"/:address/removal", h.owner(h.stepUp(h.confirmWalletRemoval)))
	e.POST(views.AccountWalletsPath+"/:address/removal", h.owner(h.removeWallet))
	e.POST(views.AccountCodesPath, h.owner(h.makeCodes))
	e.POST(views.AccountSessionsPath, h.owner(h.endOtherSessions))
	e.POST(views.AccountSessionsPath+"/:session/end", h.owner(h.endOneSession))

	e.GET(views.ConfirmPath, h.owner(h.stepUpPage))
	e.POST(views.ConfirmChallengesPath, h.owner(h.askStepUp))
	e.POST(views.ConfirmPasskeysPath, h.owner(h.confirmByPasskey))
	e.POST(views.ConfirmWalletChallengesPath, h.owner(h.askOwnWallet(access.ForStepUp)))
	e.POST(views.ConfirmWalletsPath, h.owner(h.confirmByWallet))
	e.POST(views.ConfirmCodesPath, h.owner(h.confirmByCode))
}

// owner asks for a person's own session: a till is many people's.
func (h *Handlers) owner(next func(echo.Context, seller) error) echo.HandlerFunc {
	return h.person(func(c echo.Context, s seller) error {
		if s.Device != "" {
			return access.ErrDenied
		}
		return next(c, s)
	})
}

// ownFrame is what stands around a person's own page.
func (h *Handlers) ownFrame(c echo.Context, s seller, heading string) (frame views.DashboardView, alone bool) {
	if s.Merchant == "" {
		return views.DashboardView{Heading: heading, Person: s.PersonName, Test: h.Development}, true
	}
	return h.frame(c, s, heading, "", false), false
}

func (h *Handlers) account(c echo.Context, s seller) error {
	return h.showAccount(c, s, http.StatusOK, views.Field{Value: s.PersonName}, views.Flash{})
}

func (h *Handlers) showAccount(c echo.Context, s seller, status int, name views.Field, flash views.Flash) error {
	ctx := c.Request().Context()
	ways, err := h.Gate.Ways(ctx, s.Person)
	if err != nil {
		return err
	}
	sessions, err := h.Access.Sessions(ctx, s.Person)
	if err != nil {
		return err
	}
	v := views.AccountView{DoorView: h.door(), Name: name, Codes: ways.Codes}
	v.DashboardView, v.Alone = h.ownFrame(c, s, "Your account")
	v.Flash = flash
	for _, p := range ways.Passkeys {
		v.Passkeys = append(v.Passkeys, views.PasskeyRow{ID: p.ID, Name: p.Name, Since: p.Since, Used: p.Used})
	}
	for _, w := range ways.Wallets {
		v.Wallets = append(v.Wallets, views.WalletRow{Address: w.Address.Hex(), Since: w.Since})
	}
	for _, o := range sessions {
		v.Sessions = append(v.Sessions, views.SessionRow{
			ID: string(o.ID), Browser: access.BrowserName(o.UserAgent), Shop: o.Shop, Method: methodWords[o.Method],
			Address: o.Address, Seen: o.Seen, This: o.ID == s.ID,
		})
	}
	return h.Page(c, status, views.Account(v))
}

// methodWords say how somebody signed in: "Signed in with …".
var methodWords = map[access.Method]string{
	access.ByWallet: "a wallet", access.ByPasskey: "a passkey", access.ByRecovery: "a recovery code", access.ByPrivy: "Privy",
	access.ByPIN: "a PIN", access.ByDemo: "the demo", access.ByStart: "a new account",
}

func (h *Handlers) renamePerson(c echo.Context, s seller) error {
	name := c.FormValue("name")
	err := h.Gate.Rename(c.Request().Context(), s.Session, name, browserOf(c))
	if errors.Is(err, access.ErrPerson) {
		return h.showAccount(c, s, http.StatusUnprocessableEntity, views.Field{Value: name, Problem: nameProblem}, views.Flash{})
	}
	return backToAccount(c, err)
}

// backToAccount shows the account as it is now.
func backToAccount(c echo.Context, err error) error {
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, views.AccountPath)
}

func (h *Handlers) askNewPasskey(c echo.Context, s seller) error {
	return challenge(c, func(ctx context.Context) (json.RawMessage, error) { return h.Gate.AskNewPasskey(ctx, s.Session) })
}

func (h *Handlers) addPasskey(c echo.Context, s seller) error {
	r, err := readAnswer(c)
	if err != nil {
		return err
	}
	if err := h.Gate.AddPasskey(c.Request().Context(), s.Session, r.Name, r.Answer, browserOf(c)); err != nil {
		return err
	}
	return goTo(c, views.AccountPath)
}

func (h *Handlers) renamePasskey(c echo.Context, s seller) error {
	err := h.Gate.RenamePasskey(c.Request().Context(), s.Session, c.Param("passkey"), c.FormValue("name"), browserOf(c))
	if errors.Is(err, access.ErrPerson) {
		return h.refuseChange(c, s, http.StatusUnprocessableEntity, "Give the passkey a name of 1 to 80 characters.")
	}
	return backToAccount(c, err)
}

// refuseChange shows the account with a sentence about what was not done.
func (h *Handlers) refuseChange(c echo.Context, s seller, status int, why string) error {
	return h.showAccount(c, s, status, views.Field{Value: s.PersonName}, views.Flash{Text: why, Failed: true})
}

func (h *Handlers) confirmPasskeyRemoval(c echo.Context, s seller) error {
	keys, err := h.Gate.Passkeys(c.Request().Context(), s.Person)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.ID == c.Param("passkey") {
			return h.confirmOwnRemoval(c, s, "Remove passkey", k.Name, views.PasskeyRemovalPath(k.ID),
				"It signs you in no more. Your device may go on offering it; delete it there too.")
		}
	}
	return access.ErrNotFound
}

func (h *Handlers) confirmWalletRemoval(c echo.Context, s seller) error {
	wallets, err := h.Gate.Wallets(c.Request().Context(), s.Person)
	if err != nil {
		return err
	}
	for _, w := range wallets {
		if address := w.Address.Hex(); address == c.Param("address") {
			return h.confirmOwnRemoval(c, s, "Remove wallet", address, views.WalletRemovalPath(address),
				"It signs you in no more. Where your shop is paid stays as it is.")
		}
	}
	return access.ErrNotFound
}

func (h *Handlers) confirmOwnRemoval(c echo.Context, s seller, verb, what, action, consequence string) error {
	v := views.ConfirmView{Consequence: consequence, Subject: what, Action: action, Verb: verb, Back: views.AccountPath}
	v.DashboardView, _ = h.ownFrame(c, s, verb)
	return h.Page(c, http.StatusOK, views.Confirm(v))
}

func (h *Handlers) removePasskey(c echo.Context, s seller) error {
	return h.removed(c, s, h.Gate.RemovePasskey(c.Request().Context(), s.Session, c.Param("passkey"), browserOf(c)))
}

func (h *Handlers) removeWallet(c echo.Context, s seller) error {
	address := c.Param("address")
	if !common.IsHexAddress(address) {
		return access.ErrNotFound
	}
	return h.removed(c, s, h.Gate.RemoveWallet(c.Request().Context(), s.Session, common.HexToAddress(address), browserOf(c)))
}

func (h *Handlers) removed(c echo.Context, s seller, err error) error {
	if errors.Is(err, access.ErrLastWayIn) {
		return h.refuseChange(c, s, http.StatusConflict, "This is your last passkey or wallet. Add another one first.")
	}
	return backToAccount(c, err)
}

// askOwnWallet answers with what a person's wallet is to sign for a purpose.
func (h *Handlers) askOwnWallet(purpose access.Purpose) func(echo.Context, seller) error {
	return func(c echo.Context, s seller) error {
		r, err := readAnswer(c)
		if err != nil {
			return err
		}
		return h.askWallet(c, purpose, s.Person, r.nonceRequest)
	}
}

func (h *Handlers) addWallet(c echo.Context, s seller) error {
	r, err := readAnswer(c)
	if err != nil {
		return err
	}
	if err := h.Gate.AddWallet(c.Request().Context(), s.Session, access.Signed{Message: r.Message, Signature: r.Signature}, browserOf(c)); err != nil {
		return err
	}
	return goTo(c, views.AccountPath)
}

// makeCodes shows new recovery codes, once.
func (h *Handlers) makeCodes(c echo.Context, s seller) error {
	codes, err := h.Gate.MakeCodes(c.Request().Context(), s.Session, browserOf(c))
	if err != nil {
		return err
	}
	v := views.NewCodesView{DoorView: h.door(), Codes: codes}
	v.DashboardView, v.Alone = h.ownFrame(c, s, "Recovery codes")
	return h.Page(c, http.StatusOK, views.NewCodes(v))
}

func (h *Handlers) endOtherSessions(c echo.Context, s seller) error {
	return h.ended(c, s, h.Gate.EndOthers(c.Request().Context(), s.Session, browserOf(c)))
}

func (h *Handlers) endOneSession(c echo.Context, s seller) error {
	of, err := id.Parse[id.Session](c.Param("session"))
	if err != nil {
		return access.ErrNotFound
	}
	return h.ended(c, s, h.Gate.End(c.Request().Context(), s.Session, of, browserOf(c)))
}

// ended lets open dashboards find out at once that nobody is signed in there any more.
func (h *Handlers) ended(c echo.Context, s seller, err error) error {
	if err == nil {
		h.tellOwnShops(c.Request().Context(), s.Person)
	}
	return backToAccount(c, err)
}

// tellOwnShops makes every open page of a person's shops look whether it may still be open.
func (h *Handlers) tellOwnShops(ctx context.Context, person id.Person) {
	shops, err := h.Access.Shops(ctx, person)
	if err != nil {
		return // the pages find out with their next request
	}
	for _, shop := range shops {
		h.Hub.Changed("", shop.Merchant)
	}
}

func (h *Handlers) stepUpPage(c echo.Context, s seller) error {
	to := or(ownPath(c.QueryParam("return")), views.AccountPath)
	if s.SteppedUp {
		return c.Redirect(http.StatusSeeOther, to)
	}
	return h.showStepUp(c, s, http.StatusOK, to, views.Field{})
}

func (h *Handlers) showStepUp(c echo.Context, s seller, status int, to string, code views.Field) error {
	ways, err := h.Gate.Ways(c.Request().Context(), s.Person)
	if err != nil {
		return err
	}
	return h.Page(c, status, views.StepUp(views.StepUpView{
		DoorView: h.door(), Return: to, Passkeys: len(ways.Passkeys) > 0, Wallets: len(ways.Wallets) > 0, Demo: h.Demo != nil, Code: code,
	}))
}

func (h *Handlers) askStepUp(c echo.Context, s seller) error {
	return challenge(c, func(ctx context.Context) (json.RawMessage, error) { return h.Gate.AskStepUp(ctx, s.Session) })
}

func (h *Handlers) confirmByPasskey(c echo.Context, s seller) error {
	r, err := readAnswer(c)
	if err != nil {
		return err
	}
	err = h.confirm(c, func() (string, error) {
		return h.Gate.ConfirmByPasskey(c.Request().Context(), s.Session, h.secretOf(c), r.Answer)
	})
	if err != nil {
		return err
	}
	return goTo(c, views.AccountPath)
}

func (h *Handlers) confirmByWallet(c echo.Context, s seller) error {
	r, err := readAnswer(c)
	if err != nil {
		return err
	}
	err = h.confirm(c, func() (string, error) {
		return h.Gate.ConfirmByWallet(c.Request().Context(), s.Session, h.secretOf(c), access.Signed{Message: r.Message, Signature: r.Signature})
	})
	if err != nil {
		return err
	}
	return goTo(c, views.AccountPath)
}

func (h *Handlers) confirmByCode(c echo.Context, s seller) error {
	code, to := c.FormValue("code"), or(ownPath(c.FormValue("return")), views.AccountPath)
	err := h.confirm(c, func() (string, error) {
		return h.Gate.ConfirmByCode(c.Request().Context(), s.Session, h.secretOf(c), code)
	})
	switch {
	case errors.Is(err, access.ErrDenied):
		return h.showStepUp(c, s, http.StatusUnprocessableEntity, to, views.Field{Value: code, Problem: "This is no recovery code of yours, or it was used before."})
	case err != nil:
		return err
	}
	return c.Redirect(http.StatusSeeOther, to)
}

// ConfirmDemo lets somebody of the development build confirm without proof that it is him.
func (h *Handlers) ConfirmDemo(c echo.Context) error {
	return h.owner(func(c echo.Context, s seller) error {
		err := h.confirm(c, func() (string, error) { return h.Gate.ConfirmDemo(c.Request().Context(), s.Session, h.secretOf(c)) })
		if err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, or(ownPath(c.FormValue("return")), views.AccountPath))
	})(c)
}

// confirm lets somebody prove again who he is, and gives his browser the session's new secret.
func (h *Handlers) confirm(c echo.Context, prove func() (fresh string, err error)) error {
	fresh, err := h.tries(c, prove)
	if err != nil {
		return err
	}
	h.setCookie(c, fresh, 0)
	return nil
}

// elsewhere is where a person goes instead of being shown an error: to sign in, to confirm, to open a shop.
func (h *Handlers) elsewhere(c echo.Context, r reply) string {
	switch {
	case r.status == http.StatusUnauthorized:
		return views.WithReturn(views.SignInPath, h.pageOf(c))
	case errors.Is(r.err, access.ErrStepUp):
		return views.WithReturn(views.ConfirmPath, or(h.pageOf(c), h.refererOf(c)))
	case errors.Is(r.err, errNoTill), errors.Is(r.err, errLocked):
		return views.TillPath
	case errors.Is(r.err, errNoShop):
		return views.OnboardingPath
	default:
		return ""
	}
}

// pageOf is the page that was asked for, as far as somebody can come back to it.
func (h *Handlers) pageOf(c echo.Context) string {
	if c.Request().Method != http.MethodGet || isScript(c.Request()) {
		return ""
	}
	return ownPath(c.Request().URL.RequestURI())
}

// refererOf is the page of ours that a form stood on.
func (h *Handlers) refererOf(c echo.Context) string {
	u, err := url.Parse(c.Request().Referer())
	if err != nil || u.Host != c.Request().Host {
		return views.AccountPath
	}
	return or(ownPath(u.RequestURI()), views.AccountPath)
}

package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
	"xsynesis/views"
)

func (h *Handlers) signInRoutes(e *echo.Echo) {
	e.GET(views.SignInPath, h.signInPage)
	e.POST(views.SignInCodesPath, h.signInByCode)
	e.POST(views.SignInChallengesPath, h.askPasskey)
	e.POST(views.SignInPasskeysPath, h.signInByPasskey)
	e.GET(views.FirstRunPath, h.firstRunPage)
	e.GET(views.JoinPath, h.joinPage)
	e.POST(views.JoinPath, h.join)
	e.POST(views.JoinChallengesPath, h.askFirstPasskey)
	e.POST(views.JoinPasskeysPath, h.joinByPasskey)
}

func (h *Handlers) door() views.DoorView {
	return views.DoorView{Test: h.Development, TestWallet: h.TestWallet}
}

// home is where somebody goes who came in and did not want to go anywhere else.
func home(shops []access.Member) string {
	if len(shops) == 0 {
		return views.OnboardingPath
	}
	return homeOf(shops[0].Role)
}

// ownPath is a path of this site that somebody wants to go back to, or nothing: never another site's address.
func ownPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || !strings.HasPrefix(text, "/") {
		return ""
	}
	// Browsers take a backslash for a slash, and leave out what cannot be seen.
	odd := func(r rune) bool { return r == '\\' || unicode.IsControl(r) || unicode.IsSpace(r) }
	for _, part := range []string{text, u.Path} {
		if strings.HasPrefix(part, "//") || strings.ContainsFunc(part, odd) {
			return ""
		}
	}
	return text
}

func (h *Handlers) signInPage(c echo.Context) error {
	return h.showSignIn(c, http.StatusOK, views.SignInView{Return: ownPath(c.QueryParam("return")), Invite: c.QueryParam("invite")})
}

// showSignIn shows the page, with what is wrong in it.
func (h *Handlers) showSignIn(c echo.Context, status int, v views.SignInView) (err error) {
	c.Response().Header().Set("Cache-Control", "no-store")
	ctx := c.Request().Context()
	v.DoorView = h.door()
	if v.CanJoin, err = h.Gate.Admits(ctx, v.Invite); err != nil {
		return err
	}
	if h.Demo != nil {
		if v.Demo, err = h.Demo(ctx); err != nil {
			return err
		}
	}
	return h.Page(c, status, views.SignIn(v))
}

// RefuseDemo shows the page again to somebody whom the development build does not know.
func (h *Handlers) RefuseDemo(c echo.Context) error {
	return h.showSignIn(c, http.StatusUnprocessableEntity, views.SignInView{
		Problem: "Choose one of the people below.", Return: ownPath(c.FormValue("return")),
	})
}

// BeginSession signs a member in and opens the dashboard; who he is was proven before.
func (h *Handlers) BeginSession(c echo.Context, merchant id.Merchant, person id.Person) error {
	_, err := h.admit(c, func() (in access.Entered, err error) {
		in.Secret, err = h.Access.Begin(c.Request().Context(), access.Entrance{
			Person: person, Merchant: merchant, Method: access.ByDemo, Browser: browserOf(c),
		})
		return in, err
	})
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, or(ownPath(c.FormValue("return")), views.OverviewPath))
}

// signInByCode is the one way in that needs nothing but a form.
func (h *Handlers) signInByCode(c echo.Context) error {
	code, to := c.FormValue("code"), ownPath(c.FormValue("return"))
	in, err := h.admit(c, func() (access.Entered, error) {
		return h.Gate.SignInByCode(c.Request().Context(), code, browserOf(c))
	})
	v := views.SignInView{Return: to, Code: views.Field{Value: code}}
	switch {
	case errors.Is(err, access.ErrDenied):
		v.Code.Problem = "This is no recovery code, or it was used before."
		return h.showSignIn(c, http.StatusUnprocessableEntity, v)
	case errors.Is(err, errTooOften):
		r, _ := replyTo(err)
		v.Code.Problem = r.message
		return h.showSignIn(c, r.status, v)
	case err != nil:
		return err
	}
	return c.Redirect(http.StatusSeeOther, or(to, home(in.Shops)))
}

func (h *Handlers) askPasskey(c echo.Context) error {
	return challenge(c, h.Gate.AskPasskey)
}

func (h *Handlers) signInByPasskey(c echo.Context) error {
	r, err := readAnswer(c)
	if err != nil {
		return err
	}
	return h.enter(c, func() (access.Entered, error) {
		return h.Gate.SignInByPasskey(c.Request().Context(), r.Answer, browserOf(c))
	})
}

// challenge sends a browser what it needs to make or use a passkey.
func challenge(c echo.Context, ask func(context.Context) (json.RawMessage, error)) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	options, err := ask(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]json.RawMessage{"options": options})
}

// answerRequest is what the page's script posts: what the browser or wallet signed, and the fields of the form around.
type answerRequest struct {
	Answer    json.RawMessage `json:"answer"`
	Message   string          `json:"message"`
	Signature string          `json:"signature"`
	nonceRequest
	newcomerRequest
}

func readAnswer(c echo.Context) (r answerRequest, err error) {
	c.Response().Header().Set("Cache-Control", "no-store")
	return r, decode(c, &r)
}

// locationJSON tells a page's script where to go.
type locationJSON struct {
	Location string `json:"location"`
}

func goTo(c echo.Context, path string) error { return c.JSON(http.StatusOK, locationJSON{path}) }

func (h *Handlers) firstRunPage(c echo.Context) error {
	token := c.QueryParam("token")
	opens, err := h.Gate.OpensFirstRun(c.Request().Context(), token)
	if err != nil {
		return err
	}
	if !opens {
		return echo.ErrNotFound
	}
	return h.showJoin(c, http.StatusOK, views.JoinView{FirstRun: true, Pass: token, Return: views.OnboardingPath})
}

func (h *Handlers) joinPage(c echo.Context) error {
	v := views.JoinView{Pass: c.QueryParam("invite"), Return: ownPath(c.QueryParam("return"))}
	admitted, err := h.Gate.Admits(c.Request().Context(), v.Pass)
	if err != nil {
		return err
	}
	if !admitted {
		return access.ErrSignupsClosed
	}
	return h.showJoin(c, http.StatusOK, v)
}

func (h *Handlers) showJoin(c echo.Context, status int, v views.JoinView) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	v.DoorView = h.door()
	return h.Page(c, status, views.Join(v))
}

// join makes a person of somebody who has nothing that signs, and shows him his recovery codes.
func (h *Handlers) join(c echo.Context) error {
	v := views.JoinView{
		Pass: c.FormValue("invite"), Return: ownPath(c.FormValue("return")),
		Name: views.Field{Value: c.FormValue("name")}, Shop: views.Field{Value: c.FormValue("shop")},
	}
	var err error
	if v.FirstRun, err = h.Gate.OpensFirstRun(c.Request().Context(), v.Pass); err != nil {
		return err
	}
	var codes []string
	in, err := h.admit(c, func() (in access.Entered, err error) {
		in, codes, err = h.Gate.Join(c.Request().Context(), access.Newcomer{Pass: v.Pass, Name: v.Name.Value, Shop: v.Shop.Value}, browserOf(c))
		return in, err
	})
	if errors.Is(err, access.ErrPerson) {
		return h.showJoin(c, http.StatusUnprocessableEntity, withNameProblems(v))
	}
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	next, word := or(v.Return, home(in.Shops)), "Go on"
	return h.Page(c, http.StatusOK, views.Codes(views.CodesView{DoorView: h.door(), Codes: codes, Next: next, Word: word}))
}

// withNameProblems says which of the names is none.
func withNameProblems(v views.JoinView) views.JoinView {
	if !access.IsName(v.Name.Value) {
		v.Name.Problem = nameProblem
	}
	if v.FirstRun && !access.IsName(v.Shop.Value) {
		v.Shop.Problem = nameProblem
	}
	return v
}

func (h *Handlers) askFirstPasskey(c echo.Context) error {
	r, err := readAnswer(c)
	if err != nil {
		return err
	}
	return challenge(c, func(ctx context.Context) (json.RawMessage, error) {
		return h.Gate.AskFirstPasskey(ctx, r.newcomer())
	})
}

func (h *Handlers) joinByPasskey(c echo.Context) error {
	r, err := readAnswer(c)
	if err != nil {
		return err
	}
	return h.enter(c, func() (access.Entered, error) {
		return h.Gate.JoinByPasskey(c.Request().Context(), r.Answer, browserOf(c))
	})
}

func or(given, otherwise string) string {
	if given == "" {
		return otherwise
	}
	return given
}

package handlers

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
)

// authCalls begin and end a browser's session. They are the only calls of the API that read its cookie, so they refuse
// other sites as forms do.
func authCalls() []apiCall {
	return []apiCall{
		{
			method: http.MethodPost, path: "/api/auth/siwe/nonce", browser: true,
			summary: "Draw a nonce for a sign-in message of a wallet (EIP-4361). It counts once, for five minutes. With an address the message comes with it.",
			request: nonceRequest{}, status: 200, answer: nonceJSON{}, refusals: []int{400, 403}, run: api.nonce,
		},
		{
			method: http.MethodPost, path: "/api/auth/siwe/verify", browser: true,
			summary: "Sign in with a signed message: the answer sets the session's cookie. An invitation's token lets a wallet in that is not known yet.",
			request: verifyRequest{}, required: []string{"message", "signature"}, status: 200, answer: signedInJSON{},
			refusals: []int{400, 401, 403, 429, 503}, run: api.verify,
		},
		{
			method: http.MethodPost, path: "/api/auth/privy", browser: true,
			summary: "Exchange an access token of Privy for a session: the answer sets its cookie.",
			request: privyRequest{}, required: []string{"token"}, status: 200, answer: signedInJSON{},
			refusals: []int{400, 401, 403, 404, 429}, run: api.privy,
		},
		{
			method: http.MethodPost, path: "/api/auth/logout", browser: true,
			summary: "End the browser's session, if it has one.", status: 200, answer: signedOutJSON{}, refusals: []int{403}, run: api.logout,
		},
	}
}

// browser answers a call that is about the browser's own session.
func (a api) browser(call apiCall) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "no-store")
		return call.run(a, c, access.Caller{})
	}
}

type nonceRequest struct {
	Address string `json:"address"`
	ChainID int64  `json:"chain_id"`
}

type nonceJSON struct {
	Nonce     string    `json:"nonce"`
	ExpiresAt time.Time `json:"expires_at"`
	Message   string    `json:"message,omitempty"`
}

type verifyRequest struct {
	Message   string `json:"message"`
	Signature string `json:"signature"`
	newcomerRequest
}

// newcomerRequest is what somebody sends along who may not be known yet.
type newcomerRequest struct {
	Invite string `json:"invite"`
	Name   string `json:"name"`
	Shop   string `json:"shop"`
}

func (r newcomerRequest) newcomer() access.Newcomer {
	return access.Newcomer{Pass: r.Invite, Name: r.Name, Shop: r.Shop}
}

type privyRequest struct {
	Token string `json:"token"`
	newcomerRequest
}

type signedInJSON struct {
	Person personJSON   `json:"person"`
	Shops  []memberJSON `json:"shops"`
	// Location is the page that a browser goes to if it came from nowhere else.
	Location string `json:"location"`
}

type personJSON struct {
	ID   id.Person `json:"id"`
	Name string    `json:"name"`
}

type memberJSON struct {
	SellerID id.Merchant `json:"seller_id"`
	Name     string      `json:"name"`
	Role     string      `json:"role"`
}

type signedOutJSON struct {
	SignedOut bool `json:"signed_out"`
}

func (a api) nonce(c echo.Context, _ access.Caller) error {
	var r nonceRequest
	if c.Request().ContentLength != 0 {
		if err := decode(c, &r); err != nil {
			return err
		}
	}
	return a.askWallet(c, access.ForSignIn, "", r)
}

// askWallet answers with what a wallet is to sign.
func (h *Handlers) askWallet(c echo.Context, purpose access.Purpose, person id.Person, r nonceRequest) error {
	asked, err := h.Gate.AskWallet(c.Request().Context(), purpose, person, r.Address, uint64(max(r.ChainID, 0)))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, nonceJSON{Nonce: asked.Nonce, ExpiresAt: asked.ExpiresAt, Message: asked.Message})
}

func (a api) verify(c echo.Context, _ access.Caller) error {
	var r verifyRequest
	if err := decode(c, &r); err != nil {
		return err
	}
	return a.enter(c, func() (access.Entered, error) {
		return a.Gate.SignInByWallet(c.Request().Context(), access.Signed{Message: r.Message, Signature: r.Signature}, r.newcomer(), browserOf(c))
	})
}

func (a api) privy(c echo.Context, _ access.Caller) error {
	var r privyRequest
	if err := decode(c, &r); err != nil {
		return err
	}
	return a.enter(c, func() (access.Entered, error) {
		return a.Gate.SignInByPrivy(c.Request().Context(), r.Token, r.newcomer(), browserOf(c))
	})
}

// enter begins a session, and tells the program who came in.
func (h *Handlers) enter(c echo.Context, prove func() (access.Entered, error)) error {
	in, err := h.admit(c, prove)
	if err != nil {
		return err
	}
	answer := signedInJSON{Person: personJSON{in.Person, in.Name}, Shops: []memberJSON{}, Location: home(in.Shops)}
	for _, s := range in.Shops {
		answer.Shops = append(answer.Shops, memberJSON{s.Merchant, s.Shop, string(s.Role)})
	}
	return c.JSON(http.StatusOK, answer)
}

func (a api) logout(c echo.Context, _ access.Caller) error {
	if err := a.endSession(c); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, signedOutJSON{true})
}

// bearer is who an API key, or an access token of Privy, stands for.
func (a api) bearer(c echo.Context, token string) (access.Caller, error) {
	ctx, header := c.Request().Context(), c.Request().Header
	if isKey(token) || a.Gate == nil {
		return a.Access.Caller(ctx, token)
	}
	c.Response().Header().Add("Vary", headerSeller+", "+headerLivemode)
	return a.Gate.PrivyCaller(ctx, token, id.Merchant(header.Get(headerSeller)), header.Get(headerLivemode) == "true")
}

// What an access token as bearer does not say itself.
const (
	headerSeller   = "Seller-Id"
	headerLivemode = "Livemode"
)

func isKey(token string) bool { return strings.HasPrefix(token, "sk_") }

// admit lets somebody prove who he is, and gives his browser a session of its own: whatever it sent before counts no
// more.
func (h *Handlers) admit(c echo.Context, prove func() (access.Entered, error)) (in access.Entered, err error) {
	_, err = h.tries(c, func() (string, error) {
		in, err = prove()
		return in.Secret, err
	})
	if err != nil {
		return in, err
	}
	if err := h.endSession(c); err != nil {
		return in, err
	}
	h.setCookie(c, in.Secret, 0)
	return in, nil
}

// tries counts wrong proofs by address; who is wrong too often has to wait.
func (h *Handlers) tries(c echo.Context, prove func() (secret string, err error)) (secret string, err error) {
	if wait := h.signIns.wait(addressOf(c), h.Now()); wait > 0 {
		askToWait(c, wait)
		return "", errTooOften
	}
	secret, err = prove()
	if isWrong(err) {
		h.signIns.failed(addressOf(c), h.Now())
	}
	return secret, err
}

// isWrong tells a proof that is none from other failures.
func isWrong(err error) bool {
	for _, wrong := range []error{
		access.ErrDenied, access.ErrToken, access.ErrSignature, access.ErrChallenge, access.ErrMessage, access.ErrOtherChain, access.ErrPairing,
	} {
		if errors.Is(err, wrong) {
			return true
		}
	}
	return false
}

// endSession ends the session that the browser has, if any, and takes its cookie.
func (h *Handlers) endSession(c echo.Context) error {
	secret := h.secretOf(c)
	if secret == "" {
		return nil
	}
	h.setCookie(c, "", -1)
	return h.Access.SignOut(c.Request().Context(), secret, browserOf(c))
}

// browserOf is where a request comes from, as people may recognise it.
func browserOf(c echo.Context) access.Browser {
	return access.Browser{Address: c.RealIP(), UserAgent: c.Request().UserAgent()}
}

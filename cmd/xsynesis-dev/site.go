package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/handlers"
	"xsynesis/id"
	"xsynesis/views"
)

// demo is what only this binary adds to the site: a sign-in without proof, and a wallet that signs for anybody.
type demo struct {
	access *access.Service
	wallet testWallet
	chain  *ethclient.Client
}

// explorerPath stands in for a block explorer: transactions are shown below it.
const explorerPath = "/dev/explorer"

func (d demo) routes(e *echo.Echo, h *handlers.Handlers) {
	h.Demo, h.TestPayer = d.people, d.wallet
	e.POST(views.SignInPath, func(c echo.Context) error { return d.signIn(c, h) })
	e.POST(views.ConfirmDemoPath, h.ConfirmDemo)
	e.POST(views.OnboardingPaymentsPath, h.PayTest(d.wallet.pay))
	e.POST("/dev/wallet", d.request)
	e.GET(explorerPath+"/tx/:hash", d.transaction)
}

// people lists everybody who has a role somewhere, for the page that signs them in.
func (d demo) people(ctx context.Context) ([]views.DemoPerson, error) {
	members, err := d.access.Members(ctx)
	if err != nil {
		return nil, err
	}
	people := make([]views.DemoPerson, len(members))
	for i, m := range members {
		people[i] = views.DemoPerson{Person: m.Person, Name: m.PersonName, Role: string(m.Role), Shop: m.Shop}
	}
	return people, nil
}

// signIn takes the word of whoever says that he is one of the demo's people.
func (d demo) signIn(c echo.Context, h *handlers.Handlers) error {
	members, err := d.access.Members(c.Request().Context())
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Person == id.Person(c.FormValue("person")) {
			return h.BeginSession(c, m.Merchant, m.Person)
		}
	}
	return h.RefuseDemo(c)
}

// request forwards a page's wallet requests to the wallet whose key stays on the server.
func (d demo) request(c echo.Context) error {
	var asked struct {
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(c.Request().Body).Decode(&asked); err != nil {
		return echo.ErrBadRequest
	}
	result, err := d.wallet.Request(asked.Method, asked.Params)
	var refused *walletError
	switch {
	case errors.As(err, &refused):
		return c.JSON(http.StatusOK, map[string]any{"error": refused})
	case err != nil:
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"result": result})
}

// transaction shows a receipt of the development chain as the node gives it.
func (d demo) transaction(c echo.Context) error {
	receipt, err := d.chain.TransactionReceipt(c.Request().Context(), common.HexToHash(c.Param("hash")))
	if err != nil {
		return echo.ErrNotFound
	}
	return c.JSONPretty(http.StatusOK, receipt, "  ")
}

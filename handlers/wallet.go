package handlers

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
)

// WalletError is an EIP-1193 error of the test wallet.
type WalletError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *WalletError) Error() string { return e.Message }

// testWallet forwards a page's wallet requests to the wallet whose key stays on the server.
func (h *Handlers) testWallet(c echo.Context) error {
	var request struct {
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(c.Request().Body).Decode(&request); err != nil {
		return echo.ErrBadRequest
	}
	result, err := h.TestWallet.Request(c.Request().Context(), request.Method, request.Params)
	var refused *WalletError
	switch {
	case errors.As(err, &refused):
		return c.JSON(http.StatusOK, map[string]any{"error": refused})
	case err != nil:
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"result": result})
}

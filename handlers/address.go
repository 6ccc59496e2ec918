package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/views"
)

func (h *Handlers) addressRoutes(e *echo.Echo) {
	e.GET(views.AddressPath, h.may(access.SeeSettings, h.address))
	e.POST(views.AddressPath, h.may(access.ChangePayee, h.stepUp(h.setAddress)))
	e.POST(views.AddressChallengesPath, h.may(access.ChangePayee, h.stepUp(h.askAddress)))
	e.POST(views.AddressProofsPath, h.may(access.ChangePayee, h.stepUp(h.proveAddress)))
	// To stop a change is always safe: nobody is asked to prove anything first.
	e.POST(views.AddressCancelPath, h.may(access.ChangePayee, h.cancelAddress))
}

func (h *Handlers) address(c echo.Context, s seller) error {
	return h.showAddress(c, s, http.StatusOK, nil)
}

func (h *Handlers) showAddress(c echo.Context, s seller, status int, change func(*views.AddressView)) error {
	all, err := h.Payees.Addresses(c.Request().Context(), s.Merchant)
	if err != nil {
		return err
	}
	v := views.AddressView{
		DashboardView: h.frame(c, s, "Receiving address", views.SectionSettings, false), DoorView: h.door(),
		MayChange: s.May(access.ChangePayee), NoLive: true,
	}
	for _, a := range all {
		v.Rows = append(v.Rows, addressRow(a))
		if len(a.Network.RPC) > 0 {
			v.Networks = append(v.Networks, views.NetworkOption{ID: a.Network.ID, Name: a.Network.Name, Test: a.Network.Test, Chosen: true})
			v.NoLive = v.NoLive && a.Network.Test
		}
	}
	if change != nil {
		change(&v)
	}
	return h.Page(c, status, views.Address(v))
}

func addressRow(a shop.ReceivingAddress) views.AddressRow {
	r := views.AddressRow{ID: a.Network.ID, Name: a.Network.Name, Test: a.Network.Test, Kind: string(a.Kind), Proven: timeOr(a.ProvenAt)}
	if a.Given() {
		r.Address = a.Address.Hex()
	}
	if n := a.Next; n != nil {
		r.Change, r.Next, r.NextKind, r.From, r.NextSure = n.ID, n.Address.Hex(), string(n.Kind), n.From.UTC(), n.ProvenAt != nil
	}
	return r
}

func (h *Handlers) setAddress(c echo.Context, s seller) error {
	wrong, err := h.typedAddress(c, s)
	if err != nil {
		return err
	}
	if wrong != nil {
		return h.showAddress(c, s, http.StatusUnprocessableEntity, func(v *views.AddressView) { wrong(&v.AddressChoice) })
	}
	return c.Redirect(http.StatusSeeOther, views.AddressPath)
}

// typedAddress takes the address and the networks of a form. Where they cannot be used, wrong shows them again and says why.
func (h *Handlers) typedAddress(c echo.Context, s seller) (wrong func(*views.AddressChoice), err error) {
	form, err := c.FormParams()
	if err != nil {
		return nil, echo.ErrBadRequest
	}
	address, err := shop.ParseAddress(form.Get("address"))
	if err == nil {
		err = h.Payees.SetAddress(c.Request().Context(), s.Merchant, shop.AddressForm{Address: address, Networks: form["network"]}, actor(c, s))
	}
	var field *shop.FieldError
	if errors.As(err, &field) {
		return func(v *views.AddressChoice) {
			v.Address.Value = form.Get("address")
			for i := range v.Networks {
				v.Networks[i].Chosen = slices.Contains(form["network"], v.Networks[i].ID)
			}
			if field.Field == "networks" {
				v.NoNetwork = field.Message
			} else {
				v.Address.Problem = field.Message
			}
		}, nil
	}
	if err != nil {
		return nil, err
	}
	h.Hub.Changed("", s.Merchant)
	return nil, nil //nolint:nilnil // nothing is wrong
}

// addressRequest is what the page's script posts: what the wallet signed, and the fields of the form around its button.
type addressRequest struct {
	Address   string `json:"address"`
	ChainID   int64  `json:"chain_id"`
	Message   string `json:"message"`
	Signature string `json:"signature"`
	Networks  string `json:"networks"` // with commas between them
	Expected  string `json:"expected"` // the one address that may sign; empty for any
}

func (h *Handlers) askAddress(c echo.Context, s seller) error {
	var r addressRequest
	if err := decode(c, &r); err != nil {
		return err
	}
	return h.askWallet(c, access.ForPayee, s.Person, nonceRequest{r.Address, r.ChainID})
}

// proveAddress takes an address with the signature of its holder: the one that is used already, or another one.
func (h *Handlers) proveAddress(c echo.Context, s seller) error {
	var r addressRequest
	if err := decode(c, &r); err != nil {
		return err
	}
	ctx := c.Request().Context()
	proof, err := h.Gate.ProveAddress(ctx, s.Person, access.Signed{Message: r.Message, Signature: r.Signature})
	if err != nil {
		return err
	}
	if r.Expected != "" && common.HexToAddress(r.Expected) != proof.Address {
		return &shop.FieldError{Field: "address", Message: "Your wallet shows another address, " + proof.Address.Hex() + ". Choose the right account in it."}
	}
	err = h.Payees.SetAddress(ctx, s.Merchant, shop.AddressForm{
		Address: proof.Address, Networks: strings.Split(r.Networks, ","),
		Proven: func(n evm.Network) bool { return proof.ChainID == 0 || proof.ChainID == n.Token.ChainID },
	}, actor(c, s))
	if err != nil {
		return err
	}
	h.Hub.Changed("", s.Merchant)
	return goTo(c, views.AddressPath)
}

func (h *Handlers) cancelAddress(c echo.Context, s seller) error {
	change, err := id.Parse[id.PayeeChange](c.FormValue("change"))
	if err != nil {
		return err
	}
	err = h.Payees.CancelChange(c.Request().Context(), s.Merchant, c.FormValue("network"), change, actor(c, s))
	if err != nil {
		return err
	}
	h.Hub.Changed("", s.Merchant)
	return c.Redirect(http.StatusSeeOther, views.AddressPath)
}

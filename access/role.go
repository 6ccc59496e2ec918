package access

import (
	"slices"

	"xsynesis/money"
)

// Role is what a person is to a shop.
type Role string

// The roles.
const (
	Owner      Role = "owner"
	Manager    Role = "manager"
	Cashier    Role = "cashier"
	Accountant Role = "accountant"
	Developer  Role = "developer"
	Viewer     Role = "viewer"
)

// Roles lists all of them, those that may do most first.
var Roles = []Role{Owner, Manager, Developer, Accountant, Cashier, Viewer}

// Permission is something that a member may do for a shop or not. It reads as what follows "may".
type Permission string

// The permissions.
const (
	SeeShop         Permission = "see the overview and the notices"
	ReadNotices     Permission = "mark notices as read"
	SeeLinks        Permission = "see payment links"
	ChangeLinks     Permission = "make and change payment links"
	SeeItems        Permission = "see items and their stock"
	ChangeItems     Permission = "make and change items and their stock"
	SeeCodes        Permission = "see activation codes"
	ChangeCodes     Permission = "make and revoke activation codes"
	SeeEndpoints    Permission = "see paid APIs and their passes"
	ChangeEndpoints Permission = "make and change paid APIs, and revoke passes"
	SeeSales        Permission = "see sales and settlements"
	ExportSales     Permission = "download sales"
	SendOrders      Permission = "note what was sent to whom"
	Simulate        Permission = "simulate payments"
	SeeMoney        Permission = "see balances, payouts, refunds and what money is unexplained"
	PayOut          Permission = "pay out what is kept for the shop"
	GiveRefunds     Permission = "pay buyers back"
	ExplainMoney    Permission = "decide on money that came without an explanation"
	SeeWebhooks     Permission = "see webhooks and deliveries"
	ChangeWebhooks  Permission = "change webhooks and send events again"
	SeeKeys         Permission = "see API keys"
	ChangeKeys      Permission = "make and revoke API keys"
	SeeSettings     Permission = "see the settings"
	ChangeSettings  Permission = "change the settings"
	ChangePayee     Permission = "change where the shop is paid"
	GoLive          Permission = "switch the shop to real money"
	SeeStaff        Permission = "see who works here"
	ChangeStaff     Permission = "invite, change and remove people and tills"
	SeeAudit        Permission = "see who did what"
	UseTill         Permission = "use the till"
	GiveDiscounts   Permission = "give discounts at the till"
)

// Permissions lists all of them.
var Permissions = []Permission{
	SeeShop, ReadNotices, SeeLinks, ChangeLinks, SeeItems, ChangeItems, SeeEndpoints, ChangeEndpoints, SeeCodes, ChangeCodes, SeeSales, ExportSales, SendOrders, Simulate, SeeMoney, PayOut, GiveRefunds, ExplainMoney, SeeWebhooks, ChangeWebhooks, SeeKeys, ChangeKeys,
	SeeSettings, ChangeSettings, ChangePayee, GoLive, SeeStaff, ChangeStaff, SeeAudit, UseTill, GiveDiscounts,
}

// grants says what each role may do; what does not stand here, nobody may.
var grants = map[Role][]Permission{
	Owner: Permissions,
	Manager: {
		SeeShop, ReadNotices, SeeLinks, ChangeLinks, SeeItems, ChangeItems, SeeEndpoints, ChangeEndpoints, SeeCodes, ChangeCodes, SeeSales, ExportSales, SendOrders, Simulate, SeeMoney, GiveRefunds, ExplainMoney, SeeWebhooks, ChangeWebhooks, SeeKeys, ChangeKeys,
		SeeSettings, ChangeSettings, SeeStaff, ChangeStaff, SeeAudit, UseTill, GiveDiscounts,
	},
	Developer:  {SeeShop, SeeLinks, SeeItems, SeeEndpoints, ChangeEndpoints, SeeSales, Simulate, SeeWebhooks, ChangeWebhooks, SeeKeys, ChangeKeys, SeeSettings},
	Accountant: {SeeShop, SeeLinks, SeeItems, SeeEndpoints, SeeSales, ExportSales, SeeMoney},
	Cashier:    {UseTill},
	Viewer:     {SeeShop, SeeLinks, SeeItems, SeeEndpoints, SeeSales, SeeWebhooks, SeeSettings},
}

// May tells whether a role includes a permission.
func (r Role) May(p Permission) bool { return slices.Contains(grants[r], p) }

// Valid tells whether there is such a role.
func (r Role) Valid() bool { return slices.Contains(Roles, r) }

// MayGrant tells whether somebody in this role may give another person a role, or take it away. Nobody lifts himself or
// his equals: managers come and go by an owner.
func (r Role) MayGrant(other Role) bool {
	switch {
	case !other.Valid() || !r.May(ChangeStaff):
		return false
	case r == Owner:
		return true
	default:
		return !other.Weighty()
	}
}

// Weighty tells whether whoever gives the role has to prove first that he is still himself.
func (r Role) Weighty() bool { return r == Owner || r == Manager }

// May tells whether somebody who is signed in may do something for the shop that he is in. At a till it is the till
// alone, whoever unlocked it: a few digits are no key to the office.
func (s Session) May(p Permission) bool {
	return s.Merchant != "" && (s.Device == "" || p == UseTill || p == GiveDiscounts) && s.Role.May(p)
}

// RefundsADay is what somebody of this role may give back to buyers on one day, unless his membership says otherwise; below
// zero for any amount.
func (r Role) RefundsADay() money.USDC {
	switch {
	case r == Owner:
		return -1
	case r.May(GiveRefunds):
		return managerRefunds
	default:
		return 0
	}
}

const managerRefunds = 1_000 * money.One

// RoleSheet is a role in plain words, as people read it before they give it or take it on.
type RoleSheet struct {
	Name   string
	Can    string
	Cannot string // empty for nothing
}

var sheets = map[Role]RoleSheet{
	Owner: {
		Name: "Owner", Can: "Everything, also where the shop is paid, and who else owns it.",
	},
	Manager: {
		Name: "Manager", Can: "Run the shop: items, stock, orders, links, sales, webhooks, API keys, settings, staff and tills, with discounts and refunds.",
		Cannot: "Change where the shop is paid, pay out, go live, or change owners and managers.",
	},
	Developer: {
		Name: "Developer", Can: "Make webhooks, and API keys for all that programs may do; see items, links and sales.",
		Cannot: "Change items, links or settings by hand, send orders, or see staff.",
	},
	Accountant: {
		Name: "Accountant", Can: "See items, links and money, and see and download sales and settlements.",
		Cannot: "Change anything.",
	},
	Cashier: {
		Name: "Cashier", Can: "Take payments at the till, cancel a sale there, and decide on money that came after.",
		Cannot: "Give discounts, change items, or see the dashboard.",
	},
	Viewer: {
		Name: "Viewer", Can: "See items, links, sales, webhooks and settings.",
		Cannot: "Change anything, send orders, or download sales.",
	},
}

// Sheet describes a role.
func (r Role) Sheet() RoleSheet { return sheets[r] }

package views

import (
	"net/url"
	"time"

	"xsynesis/id"
	"xsynesis/money"
)

// Where a shop's people and tills are looked after, and where they come in.
const (
	StaffPath          = "/dashboard/staff"
	StaffPeoplePath    = "/dashboard/staff/people"
	StaffInvitesPath   = "/dashboard/staff/invites"
	StaffInviteNewPath = "/dashboard/staff/invites/new"
	CashiersPath       = "/dashboard/staff/cashiers"
	CashierNewPath     = "/dashboard/staff/cashiers/new"
	TillsPath          = "/dashboard/staff/tills"
	TillNewPath        = "/dashboard/staff/tills/new"
	DeparturePath      = "/account/departure" // from the shop that one is in
	ShopCurrentPath    = "/account/shop"
	AuditPath          = "/dashboard/audit"

	InvitePath     = "/invite"
	TillPath       = "/pos"
	TillPairPath   = "/pos/pairings"
	TillUnlockPath = "/pos/unlock"
	TillLockPath   = "/pos/lock"
	TillEventsPath = "/pos/events"
)

// The rows of the navigation about people.
const (
	SectionStaff Section = "staff"
	SectionAudit Section = "audit"
)

// ColleaguePath is the page of somebody who works in the shop.
func ColleaguePath(person id.Person) string {
	return StaffPeoplePath + "/" + url.PathEscape(string(person))
}

// InviteRevocationPath is where an invitation is ended.
func InviteRevocationPath(invite id.Invite) string {
	return StaffInvitesPath + "/" + url.PathEscape(string(invite)) + "/revocation"
}

// TillRemovalPath asks whether to remove a tablet; posting to it does.
func TillRemovalPath(device id.Device) string {
	return TillsPath + "/" + url.PathEscape(string(device)) + "/removal"
}

// InviteURLPath is what somebody opens who was asked into a shop.
func InviteURLPath(token string) string { return InvitePath + "/" + url.PathEscape(token) }

// TillLockingPath says whether a tablet locks itself after each sale; posted to.
func TillLockingPath(device id.Device) string {
	return TillsPath + "/" + url.PathEscape(string(device)) + "/locking"
}

// TillPickPath is the lock screen with somebody's tile chosen.
func TillPickPath(person id.Person) string {
	return TillPath + "?" + url.Values{"person": {string(person)}}.Encode()
}

// StaffView is who works in a shop, who was asked to, and its tablets.
type StaffView struct {
	DashboardView
	People    []ColleagueRow
	Invites   []InviteRow
	Tills     []TillRow
	MayChange bool
}

// ColleagueRow is somebody who works in the shop.
type ColleagueRow struct {
	Person    id.Person
	Name      string
	Role      string // "Manager"
	You       bool
	Suspended bool
	PIN       bool
	Paused    bool      // after wrong PINs
	Seen      time.Time // zero for somebody who is not signed in
}

// InviteRow is an invitation that nobody accepted yet.
type InviteRow struct {
	Invite  id.Invite
	Name    string
	Role    string
	Inviter string
	Expires time.Time
}

// TillRow is a tablet of the shop.
type TillRow struct {
	Till     id.Device
	Locks    bool // itself after each sale
	Name     string
	PairedBy string
	Seen     time.Time
}

// RoleCard is a role to choose, in plain words.
type RoleCard struct {
	Value  string
	Name   string
	Can    string
	Cannot string
	Chosen bool
}

// ColleagueView is the page of somebody who works in the shop.
type ColleagueView struct {
	DashboardView
	ColleagueRow
	Roles  []RoleCard // that may be given to him; none if he stands too high
	MayPIN bool
	PIN    Field
	// MayLimit: what he may give back on one day may be said; an empty field stands for RoleLimit.
	MayLimit    bool
	RefundLimit Field
	RoleLimit   money.USDC
	Problem     string
}

func (v ColleagueView) limitHint() string {
	return "What this person may give back to buyers on one day. Empty: " + AmountUSDC(v.RoleLimit) + ", as the role. 0: nothing."
}

// InviteFormView asks somebody into the shop.
type InviteFormView struct {
	DashboardView
	Name    Field
	Roles   []RoleCard
	Problem string
}

// InviteLinkView shows an invitation's link: the one page that does, once.
type InviteLinkView struct {
	DashboardView
	Name    string
	Role    string
	URL     string
	QR      QR
	Expires time.Time
}

// CashierFormView takes on somebody who works at the till alone.
type CashierFormView struct {
	DashboardView
	Name Field
	PIN  Field
}

// TillFormView pairs a tablet.
type TillFormView struct {
	DashboardView
	Name Field
}

// PairingView shows the code that pairs a tablet, for as long as it lives.
type PairingView struct {
	DashboardView
	Name    string
	Code    string // six digits
	URL     string // that the tablet opens
	QR      QR
	Minutes int
}

// code is easier to read aloud in two groups.
func (v PairingView) code() string { return v.Code[:3] + " " + v.Code[3:] }

// InviteView is what somebody reads before he accepts.
type InviteView struct {
	DoorView
	Token   string
	Shop    string
	Role    RoleCard
	Inviter string
	Person  string // who is signed in; empty for nobody
	Member  bool   // he works there already
}

// path is a page where somebody proves who he is, to come back here.
func (v InviteView) path(to string) string {
	return to + "?" + url.Values{"invite": {v.Token}, "return": {InviteURLPath(v.Token)}}.Encode()
}

// ShopChoice is one of the shops that a person belongs to.
type ShopChoice struct {
	Merchant id.Merchant
	Name     string
	Role     string
	Current  bool
}

// AuditView is who did what in a shop.
type AuditView struct {
	DashboardView
	Filter AuditFilter
	Rows   []AuditRow
	Pages  Pages
}

// AuditFilter is what the form above the rows holds.
type AuditFilter struct {
	Person, Action, Resource string
	From, To                 string // 2006-01-02
	People, Actions          []Option
}

func (f AuditFilter) unfiltered() bool {
	return f.Person == "" && f.Action == "" && f.Resource == "" && f.From == "" && f.To == ""
}

// AuditRow is one thing that somebody did.
type AuditRow struct {
	ID       id.Audit
	Time     time.Time
	Who      string
	What     string // "Member removed"
	Resource string // an id
	Address  string
	Browser  string
	Changes  []AuditChange
}

// from is where it was done, as it stands between the time and what it was done to.
func (r AuditRow) from() string {
	text := ""
	if r.Address != "" {
		text = ", from " + r.Address
	}
	if r.Browser != "" {
		text += ", " + r.Browser
	}
	if r.Resource != "" {
		text += ","
	}
	return text
}

// AuditChange is a field, as it was and as it is.
type AuditChange struct {
	Field, Before, After string
}

// TillPairView is the page of a tablet that belongs to no shop.
type TillPairView struct {
	Code Field
	Test bool
}

// TillLockView is a locked till.
type TillLockView struct {
	Shop, Till string
	Test       bool
	Tiles      []TillTile
	Chosen     *TillTile // whose PIN is asked for
	Problem    string
	Live       string
}

// TillTile is somebody who may unlock it.
type TillTile struct {
	Person id.Person
	Name   string
	Role   string
}

func staffPage(v DashboardView) Page {
	p := v.page()
	p.Styles = append(p.Styles, "css/staff.css")
	return p
}

func tillPage(title string, test bool) Page {
	p := dashboardFrame(title, test)
	p.Styles = append(p.Styles, "css/sign-in.css", "css/staff.css")
	p.Scripts = append(p.Scripts, "js/till.js")
	p.Install = true
	return p
}

func invitePage(v InviteView) Page {
	p := v.page("Join " + v.Shop)
	p.Styles = append(p.Styles, "css/staff.css")
	return p
}

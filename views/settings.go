package views

import (
	"net/url"
	"strings"
	"time"

	"xsynesis/id"
)

// The pages where a shop is set up.
const (
	SettingsPath       = "/dashboard/settings"
	SettingsNamePath   = SettingsPath + "/name"
	SettingsDomainPath = SettingsPath + "/domain"
	SettingsSlugPath   = SettingsPath + "/slug"
	SettingsZonePath   = SettingsPath + "/zone"
	SettingsLimitPath  = SettingsPath + "/confirm_limit"
	ModePath           = "/dashboard/mode" // takes the field "livemode": true or false

	KeysPath   = SettingsPath + "/keys"
	KeyNewPath = KeysPath + "/new"

	AddressPath           = SettingsPath + "/address"
	AddressChallengesPath = AddressPath + "/challenges"
	AddressProofsPath     = AddressPath + "/proofs"
	AddressCancelPath     = AddressPath + "/cancellations"
)

// SectionSettings is the navigation's row of all these pages.
const SectionSettings Section = "settings"

// KeyRevokePath asks whether to revoke a key; posting to it does.
func KeyRevokePath(key id.Key) string {
	return KeysPath + "/" + url.PathEscape(string(key)) + "/revocation"
}

// KeyRollPath asks whether to replace a key; posting to it does.
func KeyRollPath(key id.Key) string {
	return KeysPath + "/" + url.PathEscape(string(key)) + "/successor"
}

// settingsPage is the frame of these pages.
func settingsPage(v DashboardView) Page {
	p := v.page()
	p.Styles = append(p.Styles, "css/settings.css")
	return p
}

// SettingsView is what a shop says of itself. Each field is a form of its own, with what it showed before.
type SettingsView struct {
	DashboardView
	Name, Domain, Slug          Field
	WasName, WasDomain, WasSlug string
	Zone                        Field
	Limit                       Field  // up to which amount a payment counts at once
	WasLimit                    string // in USDC
	WasZone, NextZone           string // NextZone: for which figures are being counted anew, or empty
	MayChange                   bool
	MayGoLive                   bool // the person may
	Ready                       bool // the shop may
}

// KeysView is a shop's API keys of one mode.
type KeysView struct {
	DashboardView
	Keys      []KeyRow
	MayChange bool
}

// KeyRow is one key; its secret is not in it.
type KeyRow struct {
	Key     id.Key
	Name    string
	Hint    string
	Scopes  []string
	Creator string
	Created time.Time
	Used    time.Time // to the minute; zero: never
	Expires time.Time // zero: never
	State   string    // active, expired or revoked
}

// secret is the key as its owner knows it.
func (r KeyRow) secret(test bool) string {
	prefix := "sk_live_…"
	if test {
		prefix = "sk_test_…"
	}
	return prefix + r.Hint
}

// story is when the key was made, used, and ends.
func (r KeyRow) story() string {
	text := "Created " + date(r.Created)
	if r.Creator != "" {
		text += " by " + r.Creator
	}
	if r.Used.IsZero() {
		text += ", never used"
	} else {
		text += ", last used " + toMinute(r.Used) + " UTC"
	}
	if r.active() && !r.Expires.IsZero() {
		text += ", ends " + toMinute(r.Expires) + " UTC"
	}
	return text + "."
}

func (r KeyRow) active() bool { return r.State == "active" }

func (r KeyRow) word() string {
	switch r.State {
	case "revoked":
		return "Revoked"
	case "expired":
		return "Expired"
	default:
		return "Active"
	}
}

// KeyFormView is the form of a new key.
type KeyFormView struct {
	DashboardView
	Problem string
	Name    Field
	Scopes  []ScopeOption
	NoScope string // what is wrong with the choice
	Expires string // one of [KeyExpiries]
}

// ScopeOption is something that a key may do.
type ScopeOption struct {
	Value  string
	Word   string
	Chosen bool
}

// KeyExpiries are the values of the field "expires": days.
var KeyExpiries = []Option{{"90", "In 90 days"}, {"365", "In a year"}, {"30", "In 30 days"}, {"7", "In a week"}, {"never", "Never"}}

// KeySecretView shows a key: the one page that does, once.
type KeySecretView struct {
	DashboardView
	Name   string
	Secret string
	Until  time.Time // the key before opens the shop until then; zero: there is none
}

// AddressView is where a shop is paid.
type AddressView struct {
	DashboardView
	DoorView
	AddressChoice
	Rows      []AddressRow
	MayChange bool
	NoLive    bool // no live network can be used here
}

// AddressChoice is the form in which an address and its networks are given.
type AddressChoice struct {
	Address   Field
	Networks  []NetworkOption
	NoNetwork string // what is wrong with the choice
}

// NetworkOption is a network to be paid on.
type NetworkOption struct {
	ID, Name string
	Test     bool
	Chosen   bool
	Typical  string // what a payment costs and how long it takes: "0.001 USD, 2 seconds"; empty where it is not said
}

// all is every network's id, for a wallet that is used on all of them.
func (v AddressView) all() string {
	var ids []string
	for _, n := range v.Networks {
		ids = append(ids, n.ID)
	}
	return strings.Join(ids, ",")
}

// AddressRow is one network of a shop.
type AddressRow struct {
	ID, Name string // of the network
	Test     bool
	Address  string // with its checksum; empty: none
	Kind     string // wallet, contract, or empty: not checked yet
	Proven   time.Time
	Change   id.PayeeChange // what waits; empty: nothing
	Next     string
	NextKind string
	From     time.Time
	NextSure bool // proven
}

// frame is the dashboard's with what signing needs.
func (v AddressView) frame() Page { return v.on(settingsPage(v.DashboardView)) }

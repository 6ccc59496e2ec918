package views

import (
	"net/url"
	"time"
)

// Where a person keeps what he signs in with.
const (
	AccountPath                 = "/account"
	AccountNamePath             = "/account/name"
	AccountChallengesPath       = "/account/passkeys/challenges"
	AccountPasskeysPath         = "/account/passkeys"
	AccountWalletChallengesPath = "/account/wallets/challenges"
	AccountWalletsPath          = "/account/wallets"
	AccountCodesPath            = "/account/recovery-codes"
	AccountSessionsPath         = "/account/sessions" // posting ends all others

	ConfirmPath                 = "/account/confirm"
	ConfirmChallengesPath       = "/account/confirm/passkeys/challenges"
	ConfirmPasskeysPath         = "/account/confirm/passkeys"
	ConfirmWalletChallengesPath = "/account/confirm/wallets/challenges"
	ConfirmWalletsPath          = "/account/confirm/wallets"
	ConfirmCodesPath            = "/account/confirm/codes"
	ConfirmDemoPath             = "/dev/confirmations" // of the development build
)

// PasskeyPath is a passkey's page; posting to it renames it.
func PasskeyPath(passkey string) string { return AccountPasskeysPath + "/" + url.PathEscape(passkey) }

// PasskeyRemovalPath asks whether to remove a passkey; posting to it does.
func PasskeyRemovalPath(passkey string) string { return PasskeyPath(passkey) + "/removal" }

// WalletRemovalPath asks whether to remove a wallet; posting to it does.
func WalletRemovalPath(address string) string {
	return AccountWalletsPath + "/" + url.PathEscape(address) + "/removal"
}

// SessionEndPath is where one of a person's sessions is ended.
func SessionEndPath(session string) string {
	return AccountSessionsPath + "/" + url.PathEscape(session) + "/end"
}

// AccountView is a person's own page.
type AccountView struct {
	DashboardView
	DoorView
	Alone    bool // the person belongs to no shop
	Name     Field
	Passkeys []PasskeyRow
	Wallets  []WalletRow
	Codes    int // that were not used
	Sessions []SessionRow
}

// PasskeyRow is one passkey in a person's list.
type PasskeyRow struct {
	ID    string
	Name  string
	Since time.Time
	Used  *time.Time
}

// WalletRow is one wallet in a person's list.
type WalletRow struct {
	Address string // with its checksum
	Since   time.Time
}

// SessionRow is one place where a person is signed in.
type SessionRow struct {
	ID      string
	Browser string // "Firefox on Windows"
	Shop    string
	Method  string // "a passkey"
	Address string
	Seen    time.Time
	This    bool // the one that asks
}

// NewCodesView shows a person's new recovery codes.
type NewCodesView struct {
	DashboardView
	DoorView
	Alone bool
	Codes []string
}

// StepUpView asks a person to prove again who he is.
type StepUpView struct {
	DoorView
	Return   string
	Problem  string
	Passkeys bool
	Wallets  bool
	Demo     bool // the development build lets its people confirm without proof
	Code     Field
}

// canSign tells whether he has anything to do it with but a recovery code.
func (v StepUpView) canSign() bool { return v.Passkeys || v.Wallets }

// ownPage is the frame of a person's own pages: the dashboard's for somebody with a shop.
func ownPage(v DashboardView, d DoorView) Page { return d.on(v.page()) }

func (r SessionRow) detail() string {
	text := "Signed in with " + r.Method
	if r.Address != "" {
		text += " from " + r.Address
	}
	return text
}

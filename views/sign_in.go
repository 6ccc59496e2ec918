package views

import (
	"net/url"

	"xsynesis/id"
)

// Where people come in. Challenges are what scripts ask for; their answers are posted to the address without that word.
const (
	SignInPath           = "/login" // the development build also takes the field "person" here
	SignInChallengesPath = "/login/passkeys/challenges"
	SignInPasskeysPath   = "/login/passkeys"
	SignInCodesPath      = "/login/codes" // fields "code" and "return"
	SignOutPath          = "/logout"
	JoinPath             = "/join" // fields "name", "shop", "invite" and "return": a person who gets recovery codes
	JoinChallengesPath   = "/join/passkeys/challenges"
	JoinPasskeysPath     = "/join/passkeys"
	FirstRunPath         = "/first-run"
	OnboardingPath       = "/onboarding"

	walletChallengesPath = "/api/auth/siwe/nonce"
	walletSignInPath     = "/api/auth/siwe/verify"
)

// WithReturn adds to a path where to go afterwards; an empty one adds nothing.
func WithReturn(path, to string) string {
	if to == "" {
		return path
	}
	return path + "?" + url.Values{"return": {to}}.Encode()
}

// DoorView is what the pages share that people come in by, or prove again who they are.
type DoorView struct {
	Test       bool // shows the stripe
	TestWallet bool // offers the development build's wallet
}

// SignInView is the page that lets someone in.
type SignInView struct {
	DoorView
	Problem string       // why the last try did not work
	Demo    []DemoPerson // the development build's shops; elsewhere empty
	Return  string       // where to go afterwards; empty for the usual place
	Invite  string       // the token of an invitation that led here
	CanJoin bool         // somebody new may come in
	Code    Field        // a recovery code
}

// DemoPerson is someone of a demo shop whom one press signs in.
type DemoPerson struct {
	Person id.Person
	Name   string // "Mette"
	Role   string // "owner"
	Shop   string // "Kaffe Nord"
}

// JoinView is the page of somebody new.
type JoinView struct {
	DoorView
	FirstRun bool   // nobody is known here yet: a shop is opened too
	Pass     string // the token that lets him in; empty where anybody may come
	Return   string
	Problem  string
	Name     Field
	Shop     Field
}

func (v JoinView) heading() string {
	if v.FirstRun {
		return "Set up this gateway"
	}
	return "Create your account"
}

// CodesView shows recovery codes: the one page that does, once.
type CodesView struct {
	DoorView
	Codes []string
	Next  string // where to go from here
	Word  string // what is there: "Open the dashboard"
}

// page is the frame of a page without navigation.
func (v DoorView) page(title string) Page { return v.on(dashboardFrame(title, v.Test)) }

// on adds to a frame what signing needs.
func (v DoorView) on(p Page) Page {
	p.Styles = append(p.Styles, "css/sign-in.css")
	p.Scripts = append(p.Scripts, "js/sign-in.js")
	if v.TestWallet {
		p.Scripts = append(p.Scripts, "js/testwallet.js")
	}
	return p
}

// joinURL is where somebody new goes from the page that he came to.
func (v SignInView) joinURL() string {
	q := url.Values{}
	if v.Return != "" {
		q.Set("return", v.Return)
	}
	if v.Invite != "" {
		q.Set("invite", v.Invite)
	}
	if len(q) == 0 {
		return JoinPath
	}
	return JoinPath + "?" + q.Encode()
}

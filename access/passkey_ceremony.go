package access

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"xsynesis/id"
	"xsynesis/queries"
)

// ceremonies writes what browsers are asked about passkeys, and checks what they answer (WebAuthn).
type ceremonies struct{ site *webauthn.WebAuthn }

// question is what a browser is asked, and what has to be known to check its answer.
type question struct {
	options   json.RawMessage
	state     json.RawMessage
	challenge string
}

// credential is a passkey as it is kept.
type credential struct {
	id     []byte
	record []byte
}

func newCeremonies(origin string) (*ceremonies, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return nil, err
	}
	site, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "xSynesis", RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{
			Login:        webauthn.TimeoutConfig{Timeout: challengeTime, TimeoutUVD: challengeTime},
			Registration: webauthn.TimeoutConfig{Timeout: challengeTime, TimeoutUVD: challengeTime},
		},
	})
	if err != nil {
		return nil, err
	}
	return &ceremonies{site}, nil
}

// holder is a person as the library asks about him.
type holder struct {
	person id.Person
	name   string
	keys   []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return []byte(h.person) }
func (h holder) WebAuthnName() string                       { return h.name }
func (h holder) WebAuthnDisplayName() string                { return h.name }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

func hold(person id.Person, name string, rows []queries.Passkey) (holder, error) {
	h := holder{person: person, name: name}
	for _, r := range rows {
		var c webauthn.Credential
		if err := json.Unmarshal(r.Credential, &c); err != nil {
			return h, fmt.Errorf("read a passkey of %s: %w", person, err)
		}
		h.keys = append(h.keys, c)
	}
	return h, nil
}

// askCreation asks for another passkey than those that are known.
func (c *ceremonies) askCreation(person id.Person, name string, known []queries.Passkey) (question, error) {
	h, err := hold(person, name, known)
	if err != nil {
		return question{}, err
	}
	creation, session, err := c.site.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()))
	if err != nil {
		return question{}, err
	}
	return newQuestion(creation.Response, session)
}

// askUse asks for a signature of any passkey of this site.
func (c *ceremonies) askUse() (question, error) {
	assertion, session, err := c.site.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return question{}, err
	}
	return newQuestion(assertion.Response, session)
}

func newQuestion(options any, session *webauthn.SessionData) (q question, err error) {
	if q.options, err = json.Marshal(options); err != nil {
		return q, err
	}
	q.state, err = json.Marshal(session)
	q.challenge = session.Challenge
	return q, err
}

// checkCreation checks the passkey that a browser made. Errors: [ErrSignature].
func (c *ceremonies) checkCreation(p pending, answer []byte) (made credential, err error) {
	var session webauthn.SessionData
	if err := json.Unmarshal(p.State, &session); err != nil {
		return made, fmt.Errorf("read a challenge: %w", err)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return made, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	key, err := c.site.CreateCredential(holder{person: p.Person}, session, parsed)
	if err != nil {
		return made, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	made.id = key.ID
	made.record, err = json.Marshal(key)
	return made, err
}

// checkUse checks what a passkey signed, and returns what is to be kept of it from now on. Errors: [ErrSignature].
func (c *ceremonies) checkUse(p pending, row queries.Passkey, answer []byte) (record []byte, cloned bool, err error) {
	var session webauthn.SessionData
	if err := json.Unmarshal(p.State, &session); err != nil {
		return nil, false, fmt.Errorf("read a challenge: %w", err)
	}
	h, err := hold(row.PersonID, "", []queries.Passkey{row})
	if err != nil {
		return nil, false, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	owner := func(_, _ []byte) (webauthn.User, error) { return h, nil }
	_, key, err := c.site.ValidatePasskeyLogin(owner, session, parsed)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	record, err = json.Marshal(key)
	return record, key.Authenticator.CloneWarning, err
}

package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/evm"
	"xsynesis/id"
	"xsynesis/queries"
)

var (
	// ErrSignupsClosed is returned when somebody who is not known here would have to become a person first.
	ErrSignupsClosed = errors.New("access: nobody new is let in")
	// ErrChallenge is returned for an answer to a question that was not asked, was answered before, or is too old.
	ErrChallenge = errors.New("access: answered before, or too late")
	// ErrSignature is returned for a signature that is not that of whoever it names.
	ErrSignature = errors.New("access: not signed by it")
	// ErrLastWayIn is returned instead of taking somebody's last passkey or wallet away.
	ErrLastWayIn = errors.New("access: the last way in")
	// ErrOtherChain is returned for the signature of a contract on another network than the one on which it was added:
	// there the same address may be somebody else's.
	ErrOtherChain = errors.New("access: a contract of another network")
	// ErrTaken is returned for a wallet or passkey that signs in somebody else.
	ErrTaken = errors.New("access: somebody else's")
	// ErrPerson is returned for a name that is empty, too long, or not text.
	ErrPerson = errors.New("access: not a name")
)

// GateOptions is how people may come in.
type GateOptions struct {
	Origin string // PUBLIC_URL, which every signature has to name
	Open   bool   // anybody may become a person
	Privy  *Privy // nil for none
	// Chains are those that wallets may name, by network; they answer for wallets that are contracts.
	Chains    map[string]*evm.Chain
	MasterKey []byte // what the token of the first run is derived from
}

// Gate lets people in by what they can prove, and keeps what they prove it with.
type Gate struct {
	*Service
	GateOptions
	passkeys *ceremonies
}

// NewGate returns the gate in front of a service.
func NewGate(s *Service, o GateOptions) (*Gate, error) {
	c, err := newCeremonies(o.Origin)
	if err != nil {
		return nil, fmt.Errorf("passkeys for %s: %w", o.Origin, err)
	}
	return &Gate{Service: s, GateOptions: o, passkeys: c}, nil
}

// Newcomer is what a person begins with who is not known here.
type Newcomer struct {
	Pass string // the token of the first run or of an invitation; empty where anybody may come
	Name string // empty for one made of what he signed in with
	Shop string // the first shop, only for the first person

	from Browser
	with string // what he signs in with
}

// joining is a newcomer at his sign-in, which is noted.
func (n Newcomer) joining(from Browser, with string) Newcomer {
	n.from, n.with = from, with
	return n
}

// Entered is somebody who just came in.
type Entered struct {
	Secret string // of his session
	Person id.Person
	Name   string
	Shops  []Member
}

// welcomeTx makes a person of somebody who is let in though nobody knows him; fallback is his name if he gave none.
func (g *Gate) welcomeTx(ctx context.Context, tx pgx.Tx, n Newcomer, fallback string) (id.Person, error) {
	person := id.New[id.Person](g.now())
	return person, g.welcomeAsTx(ctx, tx, person, n, fallback)
}

func (g *Gate) welcomeAsTx(ctx context.Context, tx pgx.Tx, person id.Person, n Newcomer, fallback string) error {
	first, err := g.admitTx(ctx, tx, n.Pass)
	if err != nil {
		return err
	}
	if strings.TrimSpace(n.Name) == "" {
		n.Name = fallback
	}
	name, err := cleanName(n.Name)
	if err != nil {
		return err
	}
	if err := queries.New().PersonInsert(ctx, tx, queries.PersonInsertParams{ID: person, Name: name, CreatedAt: g.now()}); err != nil {
		return fmt.Errorf("make a person: %w", err)
	}
	by := n.from.by(person, name)
	if err := audit.RecordTx(ctx, tx, g.now(), audit.Row{
		By: by, Action: "person.joined", ResourceType: "person", ResourceID: string(person), After: map[string]string{"name": name, "signs_in_with": n.with},
	}); err != nil {
		return err
	}
	if !first {
		return nil
	}
	_, err = g.OpenShopTx(ctx, tx, n.Shop, by)
	return err
}

// admitTx tells whether somebody new may come in, and whether he is the first of all.
func (g *Gate) admitTx(ctx context.Context, tx pgx.Tx, pass string) (first bool, err error) {
	q := queries.New()
	if g.isFirstRun(pass) {
		if err := q.FirstRunLock(ctx, tx); err != nil {
			return false, fmt.Errorf("wait for the first run: %w", err)
		}
		known, err := q.PersonsAny(ctx, tx)
		if err != nil {
			return false, fmt.Errorf("look for people: %w", err)
		}
		if known {
			return false, ErrSignupsClosed
		}
		return true, nil
	}
	if g.Open {
		return false, nil
	}
	n, err := q.InviteAdmit(ctx, tx, queries.InviteAdmitParams{Hash: hash(pass), Now: g.now(), Most: inviteNewcomers})
	if err != nil {
		return false, fmt.Errorf("look for an invitation: %w", err)
	}
	if n == 0 {
		return false, ErrSignupsClosed
	}
	return false, nil
}

// inviteNewcomers is how many may become persons by one invitation: somebody may begin on one device and go on upon
// another, but a link lets no crowd in.
const inviteNewcomers = 3

// Admits tells whether somebody new may come in with this token, which may be empty.
func (g *Gate) Admits(ctx context.Context, pass string) (bool, error) {
	if g.Open {
		return true, nil
	}
	if g.isFirstRun(pass) {
		return g.FirstRun(ctx)
	}
	lives, err := queries.New().InviteLives(ctx, g.pool, queries.InviteLivesParams{Hash: hash(pass), Now: g.now(), Most: inviteNewcomers})
	if err != nil {
		return false, fmt.Errorf("look for an invitation: %w", err)
	}
	return lives, nil
}

// FirstRun tells whether nobody is known here yet.
func (g *Gate) FirstRun(ctx context.Context) (bool, error) {
	known, err := queries.New().PersonsAny(ctx, g.pool)
	if err != nil {
		return false, fmt.Errorf("look for people: %w", err)
	}
	return !known, nil
}

// FirstRunToken lets the first person in. Every process derives the same one, and it is good as long as nobody is known.
func (g *Gate) FirstRunToken() string {
	if len(g.MasterKey) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, g.MasterKey)
	mac.Write([]byte("first-run"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (g *Gate) isFirstRun(pass string) bool {
	token := g.FirstRunToken()
	return token != "" && subtle.ConstantTimeCompare([]byte(pass), []byte(token)) == 1
}

// OpensFirstRun tells whether a token opens the page of the first run, now.
func (g *Gate) OpensFirstRun(ctx context.Context, token string) (bool, error) {
	if !g.isFirstRun(token) {
		return false, nil
	}
	return g.FirstRun(ctx)
}

// OpenShopTx opens a shop that belongs to whoever opens it. Errors: [ErrPerson] for a name that is none.
func (s *Service) OpenShopTx(ctx context.Context, tx pgx.Tx, name string, owner audit.By) (id.Merchant, error) {
	name, err := cleanName(name)
	if err != nil {
		return "", err
	}
	q, now := queries.New(), s.now()
	merchant := id.New[id.Merchant](now)
	slug := slugOf(name)
	taken, err := q.SlugTaken(ctx, tx, slug)
	if err != nil {
		return "", fmt.Errorf("look for %s: %w", slug, err)
	}
	if taken || slug == "" || id.Reserved(slug) {
		slug = strings.Trim(slug+"-"+strings.ToLower(string(merchant)[len(merchant)-8:]), "-")
	}
	if err := q.MerchantInsert(ctx, tx, queries.MerchantInsertParams{ID: merchant, Slug: slug, Name: name, CreatedAt: now}); err != nil {
		return "", fmt.Errorf("open the shop %s: %w", slug, err)
	}
	err = q.MemberInsert(ctx, tx, queries.MemberInsertParams{MerchantID: merchant, PersonID: owner.Person, Role: string(Owner), CreatedAt: now})
	if err != nil {
		return "", fmt.Errorf("make %s the owner of %s: %w", owner.Person, merchant, err)
	}
	return merchant, audit.RecordTx(ctx, tx, now, audit.Row{
		By: owner, Merchant: merchant, Action: "shop.opened", ResourceType: "shop", ResourceID: string(merchant), After: map[string]string{"name": name, "slug": slug},
	})
}

// maxName is how many characters a person's or a shop's name may have.
const maxName = 80

// IsName tells whether somebody, or a shop, may be called so.
func IsName(name string) bool {
	_, err := cleanName(name)
	return err == nil
}

func cleanName(name string) (string, error) {
	name = strings.TrimSpace(name)
	bad := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError
	}
	if name == "" || utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, bad) {
		return "", ErrPerson
	}
	return name, nil
}

// slugOf is a name as it may stand in an address: "Kaffe Nord" becomes "kaffe-nord".
func slugOf(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	slug := strings.Join(words, "-")
	return strings.Trim(slug[:min(len(slug), 40)], "-")
}

// chain is the one with this id among those that wallets may name, or nil.
func (g *Gate) chain(chainID uint64) *evm.Chain {
	for _, c := range g.Chains {
		if c.Network().Token.ChainID == chainID {
			return c
		}
	}
	return nil
}

// chainIDs are those that wallets may name, in order.
func (g *Gate) chainIDs() []uint64 {
	var ids []uint64
	for _, c := range g.Chains {
		ids = append(ids, c.Network().Token.ChainID)
	}
	slices.Sort(ids)
	return ids
}

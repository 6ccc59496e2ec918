package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"xsynesis/id"
	"xsynesis/queries"
)

const (
	privyIssuer = "privy.io"
	privyDID    = "did:privy:"
	// maxToken is looked at before anything in a token is.
	maxToken    = 8 << 10
	tokenLeeway = 30 * time.Second
)

var (
	// ErrToken is wrapped by every refusal of an access token.
	ErrToken = errors.New("access: not an access token for this site")
	// ErrSellerRequired is returned where a person has several shops and did not say which he means.
	ErrSellerRequired = errors.New("access: several shops")
)

// Privy checks access tokens of one app of the sign-in service Privy.
type Privy struct {
	key    *ecdsa.PublicKey
	parser *jwt.Parser
}

// NewPrivy takes the app's id and its verification key, an SPKI in PEM, as its settings show them.
func NewPrivy(appID, verificationKey string, now func() time.Time) (*Privy, error) {
	key, err := jwt.ParseECPublicKeyFromPEM([]byte(verificationKey))
	if err != nil {
		return nil, fmt.Errorf("read the verification key: %w", err)
	}
	if key.Curve != elliptic.P256() {
		return nil, errors.New("the verification key is not one of the curve P-256")
	}
	return &Privy{key: key, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithIssuer(privyIssuer), jwt.WithAudience(appID),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(tokenLeeway), jwt.WithTimeFunc(now),
	)}, nil
}

// Subject is whom a token was given to. There is one key, whatever the token's header says. The error wraps [ErrToken].
func (p *Privy) Subject(token string) (did string, err error) {
	if len(token) > maxToken {
		return "", fmt.Errorf("%w: it is too long", ErrToken)
	}
	var claims jwt.RegisteredClaims
	if _, err := p.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return p.key, nil }); err != nil {
		return "", fmt.Errorf("%w: %w", ErrToken, err)
	}
	if len(claims.Subject) <= len(privyDID) || !strings.HasPrefix(claims.Subject, privyDID) {
		return "", fmt.Errorf("%w: it names nobody", ErrToken)
	}
	return claims.Subject, nil
}

// SignInByPrivy exchanges an access token for a session of our own. A user who is not known becomes a person, if the
// newcomer may come in. Errors: [ErrNotFound] where there is no such app, [ErrToken], [ErrSignupsClosed].
func (g *Gate) SignInByPrivy(ctx context.Context, token string, n Newcomer, from Browser) (in Entered, err error) {
	if g.Privy == nil {
		return in, ErrNotFound
	}
	did, err := g.Privy.Subject(token)
	if err != nil {
		return in, err
	}
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		person, err := g.privyPersonTx(ctx, tx, did, n.joining(from, "Privy"))
		if err != nil {
			return err
		}
		in, err = g.beginTx(ctx, tx, Entrance{Person: person, Method: ByPrivy, Browser: from})
		return err
	})
	return in, err
}

func (g *Gate) privyPersonTx(ctx context.Context, tx pgx.Tx, did string, as Newcomer) (id.Person, error) {
	q := queries.New()
	person, err := q.PrivyPerson(ctx, tx, did)
	if !errors.Is(err, pgx.ErrNoRows) {
		return person, err
	}
	if person, err = g.welcomeTx(ctx, tx, as, "User "+did[max(len(privyDID), len(did)-6):]); err != nil {
		return "", err
	}
	n, err := q.PrivyInsert(ctx, tx, queries.PrivyInsertParams{Did: did, PersonID: person, CreatedAt: g.now()})
	if err != nil {
		return "", fmt.Errorf("keep the user of %s: %w", person, err)
	}
	if n == 0 { // he came twice at the same moment
		return "", ErrTaken
	}
	return person, nil
}

// PrivyCaller is what an access token may do as a bearer of the API: what its user's role in the shop lets a program do.
// seller may be empty for somebody with one shop. Errors: [ErrDenied], [ErrSellerRequired].
func (g *Gate) PrivyCaller(ctx context.Context, token string, seller id.Merchant, livemode bool) (Caller, error) {
	if g.Privy == nil {
		return Caller{}, ErrDenied
	}
	did, err := g.Privy.Subject(token)
	if err != nil {
		return Caller{}, ErrDenied
	}
	person, err := queries.New().PrivyPerson(ctx, g.pool, did)
	if err != nil {
		return Caller{}, denied(err)
	}
	shops, err := g.Shops(ctx, person)
	if err != nil {
		return Caller{}, err
	}
	if seller == "" && len(shops) > 1 {
		return Caller{}, ErrSellerRequired
	}
	for _, shop := range shops {
		if seller == "" || shop.Merchant == seller {
			return Caller{Merchant: shop.Merchant, Livemode: livemode, Scopes: shop.Role.scopes(), Role: shop.Role, Person: person, PersonName: shop.PersonName}, nil
		}
	}
	return Caller{}, ErrDenied
}

// needs says which permission of a person each scope of a program is.
var needs = map[Scope]Permission{
	LinksRead: SeeLinks, LinksWrite: ChangeLinks, ItemsRead: SeeItems, ItemsWrite: ChangeItems, EndpointsRead: SeeEndpoints, EndpointsWrite: ChangeEndpoints, SalesRead: SeeSales, SalesWrite: SendOrders, RefundsRead: SeeMoney, RefundsWrite: GiveRefunds, WebhooksRead: SeeWebhooks, WebhooksWrite: ChangeWebhooks,
	PayoutsRead: SeeMoney, PayoutsWrite: PayOut, EventsRead: SeeWebhooks, CodesRead: SeeCodes, CodesWrite: ChangeCodes, PaymentsDev: Simulate,
}

// scopes are what a program may do for a person with this role.
func (r Role) scopes() []string {
	var out []string
	for _, s := range Scopes {
		if p, ok := needs[s]; ok && r.May(p) {
			out = append(out, string(s))
		}
	}
	return out
}

package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"xsynesis/audit"
	"xsynesis/id"
	"xsynesis/queries"
	"xsynesis/vault"
)

// ErrRotating is returned by [Service.RotateSecret] while the former secret still signs beside the new one.
var ErrRotating = errors.New("webhook: a rotation is under way")

const (
	secretPrefix = "whsec_"
	// secretBytes in base64 need no padding, which some verifiers cannot read.
	secretBytes = 24
	// overlap is how long a former secret signs beside its successor.
	overlap = 24 * time.Hour
	// userAgent names us to merchants' servers.
	userAgent = "xSynesis-Webhooks/1.0"
)

// The headers of a try that hold a signature, which no log shows.
const (
	HeaderSignature     = "X-Webhook-Signature"
	HeaderSignatureNext = "X-Webhook-Signature-Next"
	HeaderStandard      = "Webhook-Signature"
)

// Secrets are what signs a subscription's tries now.
type Secrets struct {
	Current string
	// Next is the new secret while a rotation's overlap lasts, otherwise empty.
	Next string
}

// NewSecret draws a secret.
func NewSecret() string {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:])
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// Sign signs a body with one secret, in both ways: the lower-case hex HMAC-SHA256 of the body, keyed with the whole
// secret, and an entry of a Standard Webhooks signature, keyed with the bytes that the secret encodes.
func Sign(secret string, event id.Event, at time.Time, body []byte) (hexed, standard string) {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	hexed = hex.EncodeToString(mac.Sum(nil))

	encoded := strings.TrimPrefix(secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil { // a secret that we did not make
		key = []byte(encoded)
	}
	mac = hmac.New(sha256.New, key)
	mac.Write([]byte(string(event) + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return hexed, "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Headers are what a try of an event carries; attempt counts the delivery's tries from 1.
func Headers(secrets Secrets, event id.Event, t Type, body []byte, now time.Time, attempt int) http.Header {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", userAgent)
	h.Set("X-Webhook-Event", string(t))
	h.Set("X-Webhook-Attempt", strconv.Itoa(attempt))
	h.Set("Webhook-Id", string(event))
	h.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	hexed, standard := Sign(secrets.Current, event, now, body)
	h.Set(HeaderSignature, hexed)
	if secrets.Next != "" {
		next, too := Sign(secrets.Next, event, now, body)
		h.Set(HeaderSignatureNext, next)
		standard += " " + too
	}
	h.Set(HeaderStandard, standard)
	return h
}

// sealedAs names a subscription's secrets to the vault: sealed bytes of one row open in no other.
func sealedAs(subscription id.Subscription) string {
	return "subscriptions/" + string(subscription) + "/secret"
}

// secrets opens what signs a subscription's tries now.
func (s *Service) secrets(row queries.Subscription, now time.Time) (Secrets, error) {
	current, next := inForce(row, now)
	var out Secrets
	for _, one := range []struct {
		sealed []byte
		opened *string
	}{{current, &out.Current}, {next, &out.Next}} {
		if one.sealed == nil {
			continue
		}
		b, err := s.o.Vault.Open(sealedAs(row.ID), one.sealed)
		if err != nil {
			return Secrets{}, fmt.Errorf("secret of %s: %w", row.ID, err)
		}
		*one.opened = string(b)
	}
	return out, nil
}

// inForce tells which sealed secrets sign: after the overlap the next one alone.
func inForce(row queries.Subscription, now time.Time) (current, next []byte) {
	switch {
	case row.NextSecret == nil:
		return row.Secret, nil
	case now.Before(*row.OverlapUntil):
		return row.Secret, row.NextSecret
	default:
		return row.NextSecret, nil
	}
}

// RotateSecret gives a subscription a new secret, which is shown this once. For 24 h both sign. The same once, an
// idempotency key hashed with its scope, gives the same secret again. Errors: [ErrNotFound], [ErrRotating].
func (s *Service) RotateSecret(ctx context.Context, merchant id.Merchant, livemode bool, subscription id.Subscription, once []byte, by audit.By) (Subscription, string, error) {
	now := s.now()
	var secret string
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		row, err := queries.New().SubscriptionForUpdate(ctx, tx, queries.SubscriptionForUpdateParams{MerchantID: merchant, Livemode: livemode, ID: subscription})
		if err != nil {
			return notFound(err)
		}
		secret, err = s.rotateTx(ctx, tx, now, row, once, by)
		return err
	})
	if err != nil {
		return Subscription{}, "", fmt.Errorf("rotate the secret of %s: %w", subscription, err)
	}
	after, err := s.Subscription(ctx, merchant, livemode, subscription)
	return after, secret, err
}

func (s *Service) rotateTx(ctx context.Context, tx pgx.Tx, now time.Time, row queries.Subscription, once []byte, by audit.By) (string, error) {
	was, err := s.secrets(row, now)
	if err != nil {
		return "", err
	}
	switch {
	case once != nil && string(once) == string(row.NextOnce): // asked again
		if was.Next != "" {
			return was.Next, nil
		}
		return was.Current, nil
	case was.Next != "":
		return "", ErrRotating
	}
	current, _ := inForce(row, now)
	secret, until := NewSecret(), now.Add(overlap)
	if err := queries.New().SubscriptionSecretsSet(ctx, tx, queries.SubscriptionSecretsSetParams{
		ID: row.ID, Secret: current, NextSecret: s.o.Vault.Seal(sealedAs(row.ID), []byte(secret)), OverlapUntil: &until, NextOnce: once, UpdatedAt: now,
	}); err != nil {
		return "", err
	}
	return secret, s.noteTx(ctx, tx, now, by, row, "webhook.secret_rotated", nil, rotationSeen{&until})
}

// EndOverlap lets the former secret sign no longer; without a rotation it changes nothing. Errors: [ErrNotFound].
func (s *Service) EndOverlap(ctx context.Context, merchant id.Merchant, livemode bool, subscription id.Subscription, by audit.By) (Subscription, error) {
	now := s.now()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := queries.New()
		row, err := q.SubscriptionForUpdate(ctx, tx, queries.SubscriptionForUpdateParams{MerchantID: merchant, Livemode: livemode, ID: subscription})
		if err != nil || row.NextSecret == nil {
			return notFound(err)
		}
		if err := q.SubscriptionSecretsSet(ctx, tx, queries.SubscriptionSecretsSetParams{
			ID: row.ID, Secret: row.NextSecret, NextOnce: row.NextOnce, UpdatedAt: now,
		}); err != nil {
			return err
		}
		return s.noteTx(ctx, tx, now, by, row, "webhook.former_secret_ended", rotationSeen{row.OverlapUntil}, rotationSeen{&now})
	})
	if err != nil {
		return Subscription{}, fmt.Errorf("end the rotation of %s: %w", subscription, err)
	}
	return s.Subscription(ctx, merchant, livemode, subscription)
}

// Reseal seals every secret that an older master key sealed with the newest, and returns how many rows it changed. What
// does not open is in the error, and does not keep the others.
func (s *Service) Reseal(ctx context.Context) (int, error) {
	q, after, changed := queries.New(), id.Subscription(""), 0
	var failed []error
	for {
		rows, err := q.SubscriptionSealed(ctx, s.pool, queries.SubscriptionSealedParams{After: string(after), Most: sweepMost})
		if err != nil {
			return changed, fmt.Errorf("sealed secrets: %w", err)
		}
		if len(rows) == 0 {
			return changed, errors.Join(failed...)
		}
		for _, row := range rows {
			n, err := s.reseal(ctx, row)
			if errors.Is(err, vault.ErrSealed) {
				failed = append(failed, err)
			} else if err != nil {
				return changed, fmt.Errorf("seal the secrets of %s: %w", row.ID, err)
			}
			changed, after = changed+n, row.ID
		}
	}
}

func (s *Service) reseal(ctx context.Context, row queries.SubscriptionSealedRow) (int, error) {
	if !s.o.Vault.Stale(row.Secret) && (row.NextSecret == nil || !s.o.Vault.Stale(row.NextSecret)) {
		return 0, nil
	}
	again := func(sealed []byte) ([]byte, error) {
		if sealed == nil {
			return nil, nil
		}
		secret, err := s.o.Vault.Open(sealedAs(row.ID), sealed)
		if err != nil {
			return nil, err
		}
		return s.o.Vault.Seal(sealedAs(row.ID), secret), nil
	}
	secret, err := again(row.Secret)
	if err != nil {
		return 0, err
	}
	next, err := again(row.NextSecret)
	if err != nil {
		return 0, err
	}
	// A rotation in between wins, and was sealed with the newest key or is found by the next call.
	n, err := queries.New().SubscriptionReseal(ctx, s.pool, queries.SubscriptionResealParams{
		ID: row.ID, Secret: secret, NextSecret: next, WasSecret: row.Secret, WasNextSecret: row.NextSecret,
	})
	return int(n), err
}

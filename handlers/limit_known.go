package handlers

import (
	"crypto/sha256"
	"log/slog"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"xsynesis/access"
	"xsynesis/id"
)

// knownTime is for how long somebody is counted as himself after he proved who he is. Whether he may do what he asks
// for is looked at each time, in the database.
const knownTime = 10 * time.Minute

// knownCaller is somebody whom a secret belongs to.
type knownCaller struct {
	name   string   // of the key, the person or the tablet
	counts *buckets // nil for a tablet, which is not counted
	until  time.Time
}

func (k knownCaller) take(now time.Time) time.Duration {
	if k.counts == nil {
		return 0
	}
	return k.counts.take(k.name, now)
}

// secretHash stands for a secret: secrets themselves are kept nowhere.
type secretHash [sha256.Size]byte

func hashOf(secret string) secretHash { return sha256.Sum256([]byte(secret)) }

// secretsOf is what a request proves its caller with, if it is right.
func (h *Handlers) secretsOf(c echo.Context) (secrets []string) {
	scheme, token, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		token = ""
	}
	for _, secret := range []string{strings.TrimSpace(token), h.kept(c, deviceCookie), h.secretOf(c)} {
		if secret != "" {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}

// knows finds the first of the secrets that is somebody's.
func (l *limits) knows(secrets []string, now time.Time) (knownCaller, bool) {
	for _, secret := range secrets {
		if k, ok := l.known.Get(hashOf(secret)); ok && now.Before(k.until) {
			return k, true
		}
	}
	return knownCaller{}, false
}

func (l *limits) learn(secret string, k knownCaller, now time.Time) knownCaller {
	k.until = now.Add(knownTime)
	l.known.Add(hashOf(secret), k)
	return k
}

func (h *Handlers) learnKey(secret string, who access.Caller) knownCaller {
	name := string(who.Key)
	if name == "" {
		name = string(who.Merchant)
	}
	return h.limits.learn(secret, knownCaller{name: name, counts: h.limits.keys}, h.Now())
}

func (h *Handlers) learnPerson(secret string, person id.Person) knownCaller {
	return h.limits.learn(secret, knownCaller{name: string(person), counts: h.limits.people}, h.Now())
}

func (h *Handlers) learnTill(secret string, till id.Device) knownCaller {
	return h.limits.learn(secret, knownCaller{name: string(till)}, h.Now())
}

// recognise looks up who asks, for somebody whose address has asked too often: only so many times for each address.
func (h *Handlers) recognise(c echo.Context, secrets []string, now time.Time) (knownCaller, bool) {
	if len(secrets) == 0 || h.limits.looks.take(addressOf(c), now) > 0 {
		return knownCaller{}, false
	}
	ctx := c.Request().Context()
	if secret := h.kept(c, deviceCookie); secret != "" {
		if d, err := h.Access.Device(ctx, secret); err == nil {
			return h.learnTill(secret, d.ID), true
		}
	}
	if isKey(secrets[0]) {
		if who, err := h.Access.Caller(ctx, secrets[0]); err == nil {
			return h.learnKey(secrets[0], who), true
		}
	}
	if secret := h.secretOf(c); secret != "" {
		if s, err := h.Access.Session(ctx, secret); err == nil {
			return h.learnPerson(secret, s.Person), true
		}
	}
	return knownCaller{}, false
}

// isTill tells whether a paired tablet asks, as far as this process knows.
func (h *Handlers) isTill(c echo.Context) bool {
	who, ok := h.limits.knows([]string{h.kept(c, deviceCookie)}, h.Now())
	return ok && who.counts == nil
}

// visitor names who asks, so that what is counted for him is not counted for his neighbours.
func (h *Handlers) visitor(c echo.Context) string {
	if who, ok := h.limits.knows(h.secretsOf(c), h.Now()); ok {
		return who.name
	}
	return addressOf(c)
}

// noteProxy warns once of a proxy that nobody told us of: behind it all visitors look like one.
func (h *Handlers) noteProxy(c echo.Context) {
	peer, ok := peerOf(c.Request())
	inside := peer.IsPrivate() || peer.IsLoopback()
	if !ok || !inside || !proxied(c.Request()) || network(peer.String()) != addressOf(c) {
		return
	}
	h.proxyNoted.Do(func() {
		slog.WarnContext(c.Request().Context(), "a proxy is not in TRUSTED_PROXIES: all its visitors are counted as one", "proxy", peer.String())
	})
}

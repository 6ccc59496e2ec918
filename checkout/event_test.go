package checkout_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/id"
	"xsynesis/shop"
	"xsynesis/webhook"
)

// told is an event as merchants' servers get it.
type told struct {
	Type     webhook.Type `json:"event_type"`
	Merchant id.Merchant  `json:"seller_id"`
	Resource string       `json:"resource_id"`
	Sequence int          `json:"sequence"`
	Payload  struct {
		Attempt     id.Attempt    `json:"payment_attempt_id"`
		Settlement  id.Settlement `json:"settlement_id"`
		Sale        id.Sale       `json:"sale_id"`
		Amount      string        `json:"amount"`
		Currency    string        `json:"currency"`
		Status      string        `json:"status"`
		Reason      string        `json:"reason"`
		Error       string        `json:"error"`
		Transaction string        `json:"transaction"`
		Simulated   bool          `json:"simulated"`
	} `json:"payload"`
}

// events are all of the shop's, in their order; each must fit its schema, and none be left out of its row's count.
func (s *testShop) events(t *testing.T) (all []told) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT body FROM events ORDER BY written_by, id`)
	require.NoError(t, err)
	defer rows.Close()
	last := map[string]int{}
	for rows.Next() {
		var body []byte
		require.NoError(t, rows.Scan(&body))
		var e told
		require.NoError(t, json.Unmarshal(body, &e))
		fits(t, e.Type, body)
		last[e.Resource]++
		require.Equal(t, last[e.Resource], e.Sequence, "%s of %s", e.Type, e.Resource)
		all = append(all, e)
	}
	require.NoError(t, rows.Err())
	return all
}

var compiled sync.Map

func fits(t *testing.T, typ webhook.Type, body []byte) {
	t.Helper()
	known, ok := compiled.Load(typ)
	if !ok {
		schema, err := jsonschema.UnmarshalJSON(strings.NewReader(string(typ.Schema())))
		require.NoError(t, err)
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		require.NoError(t, c.AddResource("event.json", schema))
		known, err = c.Compile("event.json")
		require.NoError(t, err)
		compiled.Store(typ, known)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(body)))
	require.NoError(t, err)
	require.NoError(t, known.(*jsonschema.Schema).Validate(value), "%s", body)
}

// typesOf are the events of some resource, in their order.
func typesOf(all []told, resource string) (types []webhook.Type) {
	for _, e := range all {
		if e.Resource == resource {
			types = append(types, e.Type)
		}
	}
	return types
}

func TestAPaymentIsToldOf(t *testing.T) {
	t.Parallel()
	for name, pay := range map[string]func(*testing.T, *testShop) checkout.Purchase{
		"from its page": func(t *testing.T, s *testShop) checkout.Purchase {
			a := s.begin(t)
			p, err := s.checkout.Pay(t.Context(), a.ID, s.sign(t, a, s.buyer))
			require.NoError(t, err)
			return p
		},
		"by a program": func(t *testing.T, s *testShop) checkout.Purchase {
			p, err := s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, s.offer(t), s.buyer), checkout.Request{})
			require.NoError(t, err)
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			p := pay(t, s)
			require.Eventually(t, func() bool {
				require.NoError(t, s.checkout.Finalize(t.Context()))
				return s.count(t, `SELECT count(*) FROM settlements WHERE status = 'final'`) == 1
			}, 40*time.Second, 200*time.Millisecond)
			require.NoError(t, s.checkout.Finalize(t.Context()))

			all := s.events(t)
			require.Len(t, all, 4)
			require.Equal(t, []webhook.Type{webhook.PaymentAttemptCreated, webhook.PaymentCompleted}, typesOf(all, string(p.ID)))
			require.Equal(t, []webhook.Type{webhook.SettlementConfirmed, webhook.SettlementFinal}, typesOf(all, string(p.Settlement.ID)))
			sales, err := s.checkout.SalesOf(t.Context(), p.ID)
			require.NoError(t, err)
			for _, e := range all {
				require.Equal(t, s.merchant, e.Merchant)
				require.Equal(t, p.ID, e.Payload.Attempt)
				require.Equal(t, price.Units(), e.Payload.Amount)
				require.Equal(t, "USDC", e.Payload.Currency)
				require.False(t, e.Payload.Simulated)
				if e.Type != webhook.PaymentAttemptCreated {
					require.Equal(t, p.Settlement.Transaction, e.Payload.Transaction)
				}
				if e.Type == webhook.PaymentCompleted {
					require.Equal(t, sales[0].ID, e.Payload.Sale)
				}
			}
		})
	}
}

func TestSimulatedMoneyIsToldOfAsSuch(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a := s.begin(t)
	_, err := s.checkout.Simulate(t.Context(), s.merchant, a.ID, checkout.Direct)
	require.NoError(t, err)
	all := s.events(t)
	require.Equal(t, []webhook.Type{webhook.PaymentAttemptCreated, webhook.PaymentCompleted}, typesOf(all, string(a.ID)))
	require.Len(t, all, 3)
	for _, e := range all[1:] {
		require.True(t, e.Payload.Simulated, e.Type)
		require.Equal(t, checkout.Simulated, e.Payload.Currency)
	}
}

func TestMoneyThatComesLateIsToldOfTwice(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	a, payment, claim := s.refused(t)
	s.clock.advance(s.hold)
	require.NoError(t, s.checkout.Expire(t.Context(), a.ID))
	sendByStranger(t, transferCall(payment))
	require.NoError(t, s.checkout.Look(t.Context(), claim))
	require.Equal(t, []webhook.Type{webhook.PaymentAttemptCreated, webhook.PaymentCompleted, webhook.PaymentLate}, typesOf(s.events(t), string(a.ID)))
}

func TestARefusedPaymentIsToldOf(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	poor := newKey()
	waiting := s.begin(t)
	_, err := s.checkout.Pay(t.Context(), waiting.ID, s.sign(t, waiting, poor))
	require.Error(t, err)
	_, err = s.checkout.PayLink(t.Context(), s.offer(t), s.answer(t, s.offer(t), poor), checkout.Request{})
	require.Error(t, err)

	all := s.events(t)
	require.Equal(t, []webhook.Type{webhook.PaymentAttemptCreated}, typesOf(all, string(waiting.ID)), "another wallet may pay it")
	var ends, failures []told
	for _, e := range all {
		if e.Type == webhook.PaymentFailed {
			ends = append(ends, e)
		}
		if e.Type == webhook.SettlementFailed {
			failures = append(failures, e)
		}
	}
	require.Len(t, ends, 1, "what its payment began ends with it")
	require.Equal(t, "failed", ends[0].Payload.Status)
	require.NotEmpty(t, ends[0].Payload.Reason)
	require.Len(t, failures, 2)
	for _, e := range failures {
		require.Equal(t, "failed", e.Payload.Status)
		require.NotEmpty(t, e.Payload.Error)
	}
}

func TestALinksEndIsToldOfBySweeping(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	ends := s.clock.now().Add(time.Minute)
	link := s.newLink(t, s.merchant, shop.LinkForm{Title: "Lunch", Price: price, ExpiresAt: &ends})
	require.NoError(t, s.checkout.Sweep(t.Context()))
	require.Empty(t, s.events(t))
	s.clock.advance(time.Minute)
	for range 2 {
		require.NoError(t, s.checkout.Sweep(t.Context()))
	}
	require.Equal(t, []webhook.Type{webhook.LinkExpired}, typesOf(s.events(t), string(link.ID)))
	s.clock.advance(-time.Minute)
}

/** Whom the links are for. */
export const agent = { userId: 'dana.whitfield', name: 'Dana Whitfield' } as const

export interface Conversation {
  readonly sessionId: string
  readonly topic: string
  readonly customer: {
    readonly name: string
    readonly number: string
    readonly since: string
    readonly ticket: string
    readonly language: string
  }
  /** What is said before the agent has done anything. */
  readonly opening: Turn
  /** Each begins with the agent's use of the suggested answer before it. */
  readonly turns: readonly Turn[]
}

interface Turn {
  readonly lines: readonly Line[]
  readonly summary: readonly string[]
  /** The answer suggested at the end of the turn; null: nothing is left to say. */
  readonly suggestion: string | null
}

export interface Line {
  readonly from: 'customer' | 'bot' | 'agent'
  readonly text: string
}

/**
 * Two that are open, one that waits, one that is handed over, and a call. Which of them a session is
 * of: its id, or for another round of it, its id and a number.
 */
export function findConversation(sessionId: string): Conversation | null {
  const id = /^(\w+-\d+)(?:-\d+)?$/.exec(sessionId)?.[1]
  return conversations.find((one) => one.sessionId === id) ?? null
}

export const conversations: readonly [
  Conversation,
  Conversation,
  Conversation,
  Conversation,
  Conversation,
] = [
  {
    sessionId: 'chat-2041',
    topic: 'Refund for a cancelled train',
    customer: {
      name: 'Maria Lindqvist',
      number: '1187',
      since: '2019',
      ticket: 'NL-55204, 12 May, Lund to Oslo',
      language: 'English, Swedish',
    },
    opening: {
      lines: [
        { from: 'customer', text: 'Hello, my train to Oslo was cancelled this morning.' },
        { from: 'bot', text: 'I am sorry to hear that. Do you have your ticket number?' },
        { from: 'customer', text: 'Yes, it is NL-55204.' },
        { from: 'bot', text: 'Thank you. I am passing you on to a colleague.' },
        { from: 'customer', text: 'I took the bus in the end. Can I have my money back?' },
      ],
      summary: [
        'The 07:40 train to Oslo was cancelled.',
        'The customer travelled by bus and asks for a refund.',
      ],
      suggestion:
        'Your train was cancelled, so you get the full fare of 64.00 back, and the bus fare if you send the receipt.',
    },
    turns: [
      {
        lines: [
          { from: 'customer', text: 'That is good. The bus was 21.50, I have the receipt here.' },
          { from: 'customer', text: 'How long does the refund take?' },
        ],
        summary: [
          'The 07:40 train to Oslo was cancelled.',
          'Full fare of 64.00 granted.',
          'Bus fare of 21.50 to be added against the receipt.',
        ],
        suggestion:
          'It takes three to five working days, to the card you paid with. You can send the receipt in reply to our e-mail.',
      },
      {
        lines: [{ from: 'customer', text: 'Thank you, that is all I need.' }],
        summary: [
          'Full fare of 64.00 and bus fare of 21.50 granted.',
          'The receipt comes by e-mail.',
          'Nothing is open.',
        ],
        suggestion: null,
      },
    ],
  },
  {
    sessionId: 'chat-2042',
    topic: 'Bag left on a train',
    customer: {
      name: 'Tomás Herrera',
      number: '3052',
      since: '2023',
      ticket: 'NL-55391, 12 May, Oslo to Malmö',
      language: 'English, Spanish',
    },
    opening: {
      lines: [
        { from: 'customer', text: 'Hi. I think I left a bag on the 18:05 to Malmö.' },
        { from: 'bot', text: 'Can you say in which coach you were sitting?' },
        { from: 'customer', text: 'Coach 4, near the door. It is a grey rucksack.' },
        { from: 'bot', text: 'Thank you. I am passing you on to a colleague.' },
      ],
      summary: ['A grey rucksack was left on the 18:05 to Malmö.', 'Coach 4, near the door.'],
      suggestion:
        'The train is still in Malmö. I have asked the staff there to look in coach 4. Is there a name on the bag?',
    },
    turns: [
      {
        lines: [{ from: 'customer', text: 'Yes, my surname is on the label.' }],
        summary: [
          'A grey rucksack was left on the 18:05 to Malmö, coach 4.',
          'The surname is on its label.',
          'Staff in Malmö are looking.',
        ],
        suggestion:
          'They have found it. You can collect it at the counter in Malmö until 22:00, please bring your ticket.',
      },
      {
        lines: [{ from: 'customer', text: 'Wonderful. I will be there in an hour.' }],
        summary: ['The rucksack was found.', 'The customer collects it in Malmö before 22:00.'],
        suggestion: null,
      },
    ],
  },
  {
    sessionId: 'chat-2043',
    topic: 'Seat reservation',
    customer: {
      name: 'Ines Okafor',
      number: '4410',
      since: '2024',
      ticket: 'NL-55417, 14 May, Lund to Stockholm',
      language: 'English',
    },
    opening: {
      lines: [
        { from: 'customer', text: 'Good morning. May I change my seat to one by the window?' },
        { from: 'bot', text: 'I am passing you on to a colleague.' },
      ],
      summary: ['The customer asks for a window seat on 14 May.'],
      suggestion: 'Coach 2, seat 31 by the window is free. Shall I change your reservation?',
    },
    turns: [
      {
        lines: [{ from: 'customer', text: 'Yes please, thank you.' }],
        summary: ['The reservation was changed to coach 2, seat 31.'],
        suggestion: null,
      },
    ],
  },
  {
    sessionId: 'chat-2044',
    topic: 'Bicycle on a night train',
    customer: {
      name: 'Jonas Aalto',
      number: '2716',
      since: '2021',
      ticket: 'NL-55460, 16 May, Malmö to Berlin',
      language: 'English, Finnish',
    },
    opening: {
      lines: [
        { from: 'customer', text: 'Can I take my bicycle on the night train to Berlin?' },
        { from: 'bot', text: 'I am passing you on to a colleague.' },
      ],
      summary: ['The customer asks for a bicycle space on 16 May, Malmö to Berlin.'],
      suggestion: 'Yes, two spaces are free. One costs 9.00. Shall I book it for you?',
    },
    turns: [
      {
        lines: [{ from: 'customer', text: 'Yes please, one.' }],
        summary: ['One bicycle space was booked for 16 May.'],
        suggestion: null,
      },
    ],
  },
  {
    sessionId: 'call-2045',
    topic: 'Help at the station',
    customer: {
      name: 'Amara Diallo',
      number: '0934',
      since: '2017',
      ticket: 'NL-55482, 18 May, Oslo to Lund',
      language: 'English, French',
    },
    opening: {
      lines: [
        { from: 'customer', text: 'I use a wheelchair and change trains in Gothenburg.' },
        { from: 'bot', text: 'How much time do you have there?' },
        { from: 'customer', text: 'Twelve minutes. Is that enough?' },
        { from: 'bot', text: 'I am putting you through to a colleague.' },
      ],
      summary: ['The customer needs help to change trains in Gothenburg, in twelve minutes.'],
      suggestion: 'Somebody will meet you at your coach with a ramp. Twelve minutes are enough.',
    },
    turns: [
      {
        lines: [{ from: 'customer', text: 'Thank you, that puts my mind at rest.' }],
        summary: ['A ramp and an escort are booked in Gothenburg on 18 May.'],
        suggestion: null,
      },
    ],
  },
]

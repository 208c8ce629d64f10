"""The corpus of the demo model: small English stories, facts, questions and sums from a seeded
grammar.

Nothing is downloaded or copied: every sentence comes from the word lists and patterns of this file.
A fixed "world" (who lives where, does what, owns which pet; which animal lives and eats what) gives
the model facts to remember, objects that are carried, given and moved give attention something to
follow.
"""

import collections
import random
import re

NAMES_HER = ("Mia Anna Clara Ella Freya Greta Hanna Ida Julia Kira Lena Marta Nora "
             "Olga Paula Rosa Sara Tilda Una Vera Wilma Yara Zoe Agnes Britta Dora "
             "Edith Flora Heidi Iris").split()
NAMES_HIM = ("Ben Adam Carl David Emil Finn Georg Hugo Ivan Jonas Kurt Leo Max Nils "
             "Oskar Peter Rolf Simon Tom Ulrich Victor Walter Yuri Zeno Albert "
             "Bruno Dirk Erik Felix Henry").split()
SURNAMES = ("Abel Berg Cole Dahl Eden Frost Gale Holm Irving Jensen Keller Lund "
            "Moore North Olsen Page Quinn Reed Stone Thorn Upton Vance West York "
            "Zander").split()
PEOPLE = 240
TOWNS = ("Oakford Milltown Redbridge Stonefield Eastwick Larkhill Fernley Ashby "
         "Brookside Winterton Harrowgate Saltmarsh Pinewood Goldcrest Northam "
         "Deepwell Foxhollow Marlow Thornbury Whitecliff Copperdale Elmstead "
         "Greenhaven Kingsport Lowmoor").split()
JOBS = ("baker teacher farmer doctor painter gardener sailor carpenter weaver "
        "potter miller shepherd blacksmith tailor cook hunter fisher printer nurse "
        "builder singer clockmaker beekeeper judge postman").split()
COLOURS = "red blue green yellow white black brown purple orange grey pink silver".split()
FOODS = ("bread cheese soup honey porridge pancakes plums walnuts carrots mushrooms "
         "rice noodles fish pumpkin jam butter figs beans cherries onions").split()
PET_NAMES = ("Pip Tuft Bramble Moss Pepper Biscuit Clover Dusty Ember Fig Ginger "
             "Hazel Inky Jumbo Kipper Lumpy Mopsy Nibble Otto Patch Quill Rusty "
             "Socks Toffee Velvet Whisker Ziggy Button Cobble Doodle").split()
PETS = "cat dog rabbit parrot goat pony duck hen mouse tortoise".split()
OBJECTS = ("kite lamp basket drum hat scarf coin map bell cup rope hammer candle "
           "mirror key ladder spoon book feather stone ball shell whistle brush "
           "blanket flute letter box jug saddle lantern needle ring bucket broom").split()
PLACES = ("mill market river bridge church school forest harbour garden barn "
          "station well tower meadow library bakery castle hill lake orchard").split()
ROOMS = "kitchen cellar attic hall bedroom pantry workshop stable study porch".split()
FRUIT = "apples pears eggs nuts plums stones shells coins buttons roses candles potatoes".split()
WEATHER = "rainy sunny windy snowy foggy cold warm stormy quiet cloudy".split()
TIMES = "morning evening afternoon night".split()
MOODS = "happy sad tired proud angry afraid hungry curious surprised calm".split()
SIZES = "small large old new heavy light broken shiny strange little".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = ("January February March April May June July August September October "
          "November December").split()
ANIMALS = ("fox owl bear wolf beaver otter badger hedgehog frog heron salmon eagle "
           "deer hare squirrel mole bat lynx stork weasel crow swan pike toad adder").split()
HABITATS = ("forest", "river", "lake", "mountains", "meadow", "swamp", "hollow tree", "old barn",
            "cave", "reeds")
PREY = "mice fish berries grass frogs beetles nuts worms snails roots leaves eggs".split()
SKILLS = ("run very fast", "see in the dark", "swim under water", "climb tall trees",
          "dig deep tunnels", "sleep all winter", "hear the smallest sound", "jump over a fence",
          "build a dam",
          "fly for many hours", "hide in the grass", "smell food from far away")
OPPOSITES = (("hot", "cold"), ("big", "small"), ("fast", "slow"), ("high", "low"), ("wet", "dry"),
             ("old", "young"), ("full", "empty"), ("hard", "soft"), ("early", "late"),
             ("loud", "quiet"), ("open", "closed"), ("light", "dark"), ("strong", "weak"),
             ("near", "far"), ("rich", "poor"))
NUMBERS = ("zero one two three four five six seven eight nine ten eleven twelve "
           "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty").split()


class Person:
    def __init__(self, name, surname, her, rng):
        self.name, self.full = name, f"{name} {surname}"
        self.he, self.his, self.him = ("she", "her", "her") if her else ("he", "his", "him")
        self.town = rng.choice(TOWNS)
        self.job = rng.choice(JOBS)
        self.colour = rng.choice(COLOURS)
        self.food = rng.choice(FOODS)
        self.pet = rng.choice(PETS)
        self.pet_name = rng.choice(PET_NAMES)
        self.age = rng.randint(8, 79)
        self.birthday = f"{rng.choice(MONTHS)} {rng.randint(1, 28)}"
        self.friend = None


class World:
    """Facts that hold in every story; a function of the seed alone."""

    def __init__(self, seed):
        rng = random.Random(seed)
        names = [(n, s) for n in NAMES_HER + NAMES_HIM for s in SURNAMES]
        self.people = [Person(n, s, n in NAMES_HER, rng) for n, s in rng.sample(names, PEOPLE)]
        for person in self.people:
            person.friend = rng.choice([p for p in self.people if p.name != person.name])
        self.animals = {animal: (rng.choice(HABITATS), rng.choice(PREY), rng.choice(SKILLS))
                        for animal in ANIMALS}
        self.town_place = {town: (rng.choice(PLACES), rng.choice(COLOURS), rng.randint(12, 98))
                           for town in TOWNS}


def with_article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def capital(text):
    return text[0].upper() + text[1:]


class Writer:
    """Writes documents about a world; a function of the world and the seed."""

    def __init__(self, world, seed):
        self.world, self.rng = world, random.Random(seed)

    def pick(self, items):
        return self.rng.choice(items)

    def person(self, *others):
        taken = [p.name for p in others]
        return self.pick([p for p in self.world.people if p.name not in taken])

    def fact(self, p):
        his, he = capital(p.his), capital(p.he)
        return self.pick([
            f"{p.name} lives in {p.town}.", f"{p.name} is {with_article(p.job)}.",
            f"{p.name} works as {with_article(p.job)} in {p.town}.",
            f"{his} favourite colour is {p.colour}.",
            f"{he} likes {p.food} best of all.", f"{his} {p.pet} is called {p.pet_name}.",
            f"{p.name} is {p.age} years old.", f"{his} birthday is on {p.birthday}.",
            f"{his} best friend is {p.friend.full} from {p.friend.town}.",
            f"{p.name} has {with_article(p.pet)} called {p.pet_name}."])

    def question(self, p):
        return self.pick([
            (f"Where does {p.full} live?", f"{p.full} lives in {p.town}."),
            (f"What is the job of {p.full}?", f"{p.full} is {with_article(p.job)}."),
            (f"Which colour does {p.full} like?", f"{p.full} likes {p.colour}."),
            (f"What does {p.full} like to eat?", f"{p.full} likes {p.food}."),
            (f"Which pet does {p.full} have?",
             f"{p.full} has {with_article(p.pet)} called {p.pet_name}."),
            (f"How old is {p.full}?", f"{p.full} is {p.age} years old."),
            (f"When is the birthday of {p.full}?", f"It is on {p.birthday}."),
            (f"Who is the best friend of {p.full}?", f"It is {p.friend.full}.")])

    def portrait(self):
        p = self.person()
        facts = [self.fact(p) for _ in range(self.rng.randint(3, 6))]
        return " ".join([f"This is {p.full}."] + facts)

    def quiz(self):
        lines = []
        for _ in range(self.rng.randint(3, 6)):
            about_people = self.rng.random() < 0.7
            ask, answer = self.question(self.person()) if about_people else self.animal_question()
            lines.append(f"Question: {ask}\nAnswer: {answer}")
        return "\n".join(lines)

    def animal_question(self):
        animal = self.pick(ANIMALS)
        home, food, skill = self.world.animals[animal]
        return self.pick([(f"Where does the {animal} live?", f"The {animal} lives in the {home}."),
                          (f"What does the {animal} eat?", f"The {animal} eats {food}."),
                          (f"What can the {animal} do?", f"The {animal} can {skill}.")])

    def nature(self):
        animal = self.pick(ANIMALS)
        home, food, skill = self.world.animals[animal]
        texts = [f"The {animal} lives in the {home}.", f"It eats {food}.",
                 f"The {animal} can {skill}."]
        self.rng.shuffle(texts)
        p = self.person()
        return " ".join(texts) + " " + self.pick([
            f"One {self.pick(WEATHER)} {self.pick(TIMES)} {p.full} the {p.job} saw "
            f"{with_article(animal)} near the {self.pick(PLACES)} of {p.town}. "
            f"{capital(p.he)} was very {self.pick(MOODS)}.",
            f"{p.full} once drew {with_article(animal)} with {with_article(p.colour)} pencil, "
            f"because {p.colour} is {p.his} favourite colour."])

    def carrying(self):
        a = self.person()
        b = a.friend if self.rng.random() < 0.6 else self.person(a)
        thing, colour, size = self.pick(OBJECTS), self.pick(COLOURS), self.pick(SIZES)
        start, end = self.rng.sample(PLACES, 2)
        told = f"{with_article(size)} {colour} {thing}"
        text = [f"One {self.pick(WEATHER)} {self.pick(TIMES)} {a.full} went to the {start}.",
                self.pick([f"There {a.he} found {told}.",
                           f"{capital(a.he)} found {told} on the ground.",
                           f"Under a stone {a.he} saw {told}."])]
        if self.rng.random() < 0.5:
            text.append(f"{a.name} was {self.pick(MOODS)} and took the {thing} along.")
        text.append(self.pick([f"Then {a.he} carried the {thing} to the {end} of {a.town}.",
                               f"{capital(a.he)} put the {thing} in {a.his} bag "
                               f"and walked to the {end}."]))
        text.append(self.pick([f"At the {end} {a.he} met {b.full} the {b.job}.",
                               f"{b.full} was waiting at the {end} "
                               f"with {b.his} {b.pet} {b.pet_name}."]))
        text.append(self.pick([
            f'"What do you have there?" asked {b.name}. "{capital(told)}," said {a.name}. '
            f'"I found it at the {start}."',
            f'"Is that my {colour} {thing}?" asked {b.name}. "I lost it at the {start}." '
            f'{a.name} gave {b.him} the {thing}.',
            f'"Look, {b.name}, a {thing}!" said {a.name}. '
            f'"It is {colour} and {size}," said {b.name}.']))
        text.append(self.pick([f"In the end both were {self.pick(MOODS)}.",
                               f"{a.name} gave the {colour} {thing} to {b.name} "
                               f"and went home to {a.town}.",
                               f"They ate {b.food} together, because {b.name} likes {b.food} best.",
                               f"So the {thing} from the {start} came to the {end}."]))
        return " ".join(text)

    def counting(self):
        a = self.person()
        b = self.person(a)
        what = self.pick(FRUIT)
        number = (lambda n: NUMBERS[n]) if self.rng.random() < 0.4 else str
        have = self.rng.randint(3, 20)
        text = [f"{a.name} had {number(have)} {what}."]
        for _ in range(self.rng.randint(1, 3)):
            n = self.rng.randint(1, min(9, have))
            if have + n > 20 or self.rng.random() < 0.6:
                have -= n
                text.append(self.pick([f"{capital(a.he)} gave {number(n)} {what} to {b.name}.",
                                       f"{capital(a.he)} lost {number(n)} {what} "
                                       f"at the {self.pick(PLACES)}."]))
            else:
                have += n
                text.append(self.pick([f"{b.name} gave {a.him} {number(n)} {what}.",
                                       f"{capital(a.he)} found {number(n)} {what} "
                                       f"in the {self.pick(ROOMS)}."]))
            text.append(f"Now {a.name} had {number(have)} {what}.")
            if have == 0:
                break
        return " ".join(text)

    def sums(self):
        lines = []
        for _ in range(self.rng.randint(4, 9)):
            a, b = self.rng.randint(1, 60), self.rng.randint(1, 39)
            kind = self.rng.randrange(3)
            if kind == 0:
                lines.append(f"{a} + {b} = {a + b}.")
            elif kind == 1:
                lines.append(f"{max(a, b)} - {min(a, b)} = {max(a, b) - min(a, b)}.")
            else:
                a, b = a % 12 + 1, b % 12 + 1
                lines.append(f"{a} times {b} is {a * b}.")
        return " ".join(lines)

    def hiding(self):
        rooms, things = self.rng.sample(ROOMS, 4), self.rng.sample(OBJECTS, 3)
        where, text = {}, []
        people = self.rng.sample(self.world.people, 2)
        for thing in things:
            where[thing] = self.pick(rooms)
            text.append(f"{self.pick(people).name} put the {thing} in the {where[thing]}.")
        for _ in range(self.rng.randint(1, 4)):
            thing = self.pick(things)
            room = self.pick([r for r in rooms if r != where[thing]])
            text.append(f"{self.pick(people).name} moved the {thing} "
                        f"from the {where[thing]} to the {room}.")
            where[thing] = room
        self.rng.shuffle(things)
        for thing in things:
            text.append(f"Where is the {thing}? It is in the {where[thing]}.")
        return " ".join(text)

    def calendar(self):
        i = self.rng.randrange(7)
        j = self.rng.randrange(12)
        hot, cold = self.pick(OPPOSITES)
        if self.rng.random() < 0.5:
            hot, cold = cold, hot
        town = self.pick(TOWNS)
        place, colour, houses = self.world.town_place[town]
        lines = [f"The day after {DAYS[i]} is {DAYS[(i + 1) % 7]}.",
                 f"The month after {MONTHS[j]} is {MONTHS[(j + 1) % 12]}.",
                 f"The opposite of {hot} is {cold}.",
                 f"The {place} of {town} is {colour}, and the town has {houses} houses.",
                 f"After {NUMBERS[i + j]} comes {NUMBERS[i + j + 1]}."]
        self.rng.shuffle(lines)
        return " ".join(lines[:self.rng.randint(2, 4)])

    def journey(self):
        p = self.person()
        towns = self.rng.sample(TOWNS, self.rng.randint(2, 4))
        text = [f"In {self.pick(MONTHS)} {p.full} the {p.job} left {p.town} "
                f"with {p.his} {p.pet} {p.pet_name}."]
        for town in towns:
            place, colour, houses = self.world.town_place[town]
            text.append(self.pick([
                f"In {town} {p.he} saw the {colour} {place}.",
                f"{capital(p.he)} came to {town}, a town of {houses} houses.",
                f"In {town} {p.he} bought some {p.food}, for {p.he} likes {p.food}.",
                f"A {self.pick(WEATHER)} {self.pick(TIMES)} in {town} "
                f"made {p.pet_name} {self.pick(MOODS)}."]))
        text.append(f"First {towns[0]}, last {towns[-1]}: then {p.name} went back to {p.town}.")
        return " ".join(text)

    def document(self):
        kinds = (self.portrait, self.quiz, self.nature, self.carrying, self.carrying, self.counting,
                 self.sums, self.hiding, self.calendar, self.journey)
        return self.pick(kinds)()


class Vocabulary:
    """Token ids: 0..255 a byte, from 256 on the words that save most bytes in a sample of the
    corpus, with the blank before them. Text is cut into words and single characters; a word that
    has no id of its own is spelled in bytes."""

    PIECE = re.compile(rb" ?[A-Za-z]+|.", re.DOTALL)
    BYTES = 256

    def __init__(self, world, seed, size):
        writer, count = Writer(world, seed), collections.Counter()
        for _ in range(4000):
            count.update(self.PIECE.findall(writer.document().encode("ascii")))
        saved = {word: (len(word) - 1) * times for word, times in count.items() if len(word) > 1}
        self.words = sorted(saved, key=lambda word: (-saved[word], word))[:size - self.BYTES]
        self.ids = {word: self.BYTES + i for i, word in enumerate(self.words)}

    def encode(self, text):
        ids = []
        for piece in self.PIECE.findall(text.encode("ascii")):
            known = self.ids.get(piece)
            ids.extend(piece if known is None else (known,))
        return ids


BEGIN = 1  # the token before every document


def token_stream(world, vocabulary, seed, length):
    """`length` tokens: documents one after another, each after BEGIN and ended by a newline."""
    writer, stream = Writer(world, seed), []
    while len(stream) < length:
        stream.append(BEGIN)
        stream.extend(vocabulary.encode(writer.document() + "\n"))
    return stream[:length]
